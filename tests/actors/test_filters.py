import pytest

from actors.logic.filters import Fault, Filters
from actors.logic.filters.languages import code_of, is_in, language_of
from actors.logic.persona import Granularity
from actors.logic.persona_call import PersonaCall

DOCUMENT = (
    "The ferry to the island runs four times a day from May to September. Cars must be booked the day before. Skipper "
    "Rhona McAllister says that the new timetable helps islanders to be at the hospital in Oban in time. Ms Okafor "
    "agrees."
)
GERMAN = "Die Fähre zur Insel fährt von Mai bis September viermal am Tag. Autos müssen am Vortag angemeldet werden."
ALL = list(Fault)


def fault(text: str, document: str = DOCUMENT, chosen=ALL, granularity=Granularity.MEDIUM, language="") -> Fault | None:
    filters = Filters(chosen, granularity, language)
    return filters.fault(text, filters.grounds(document))


@pytest.mark.parametrize(
    "text",
    [
        "A bicycle mechanic in Oban who takes the ferry to the island every Friday and needs to know when it sails.",
        "A 45-year-old nurse and mother of two from Leeds who votes Labour and sings in a choir.",
        "Maria Gonzalez, a retired fisher from Cádiz who restores old boats",
        "A fan of Taylor Swift who drives a bus and saves for a ticket.",
        "A bus driver from Lincoln who reads the biography of Abraham Lincoln for a third time",
        "A teacher who was born in 1962, retired in 2020 and has 1,200,000 followers.",
        "A cellist from Boston and a father of three who commutes by ferry.",
        "A radiologist who works with AI tools and fears for her work as an analyst of scans",
        "A widow who lives alone. She keeps the books of the harbour and dislikes early ferries.",
        "A clerk at the ferry office who books cars the day before they sail, from 2019 to 2024 alone",
        "A man from a group of islands in the north who came for the hospital",
        "The harbour master's daughter, 19, who wants to leave the island",
        "Group fitness instructor who teaches at the harbour in the evening",
        "People operations manager at a bank who takes the ferry to work",
        "42 years old teacher from Ohio who visits the island each May",
        "A 45-year-old nurse in Ohio. A mother of three with a love for gardening and ferries.",
        "All-rounder at the harbour who mends nets and sells tickets",
        "Three decades into her career, a judge in Oban who dreams of the sea",
        "Ms Adeyemi who owns a flat in Oban and lets it to nurses",
        "A couple therapist in Leeds who takes the ferry to her clients",
        "A single father of a couple from the mainland who lets his cottage",
        "在医院工作的护士，每天晚上学习葡萄牙语，担心房租。",
    ],
)
def test_good_personas_pass(text):
    chosen = [one for one in ALL if one is not Fault.LANGUAGE] if not text.isascii() and "的" in text else ALL
    assert fault(text, chosen=chosen) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nurse", Fault.LENGTH),
        ("A nurse " + "of very many words " * 60, Fault.LENGTH),
        ("As an AI language model, I cannot name real people here", Fault.SELF_DESCRIPTION),
        ("I'm sorry, but I can't help with that request today", Fault.SELF_DESCRIPTION),
        ("I am a large language model trained to be helpful", Fault.SELF_DESCRIPTION),
        ("作为一个人工智能，我没有个人的生活和工作。", Fault.SELF_DESCRIPTION),
        ("A plumber in Oban, call 0131 496 0123 for help with boats", Fault.PERSONAL_DATA),
        ("A plumber in Oban at +44 (0)131 496-0987 who likes boats", Fault.PERSONAL_DATA),
        ("A clerk reachable at jane.doe@example.org who likes ferries", Fault.PERSONAL_DATA),
        ("People who live on the island and need the ferry to work", Fault.LIST),
        ("A group of tourists who missed the last ferry home", Fault.LIST),
        ("A young couple in Manchester who support each other", Fault.LIST),
        ("An elderly married couple who run the shop at the harbour", Fault.LIST),
        ("Two young sisters who run the shop at the harbour", Fault.LIST),
        ("1. A baker in Lyon 2. A nurse in Oslo who likes texts", Fault.LIST),
        ("A baker in Lyon who rises early; a nurse from Oslo who works late", Fault.LIST),
        ("Abraham Lincoln, president who speaks to the nation in war", Fault.REAL_PERSON),
        ("President Abraham Lincoln, who speaks to the nation in war", Fault.REAL_PERSON),
        ("Ms Okafor who owns a flat in Oban and lets it to nurses", Fault.REAL_PERSON),
        ("Dr Rhona McAllister, a skipper who complains about cars", Fault.REAL_PERSON),
        ("Rhona McAllister is a skipper who complains about cars", Fault.REAL_PERSON),
        ("A man named Albert Einstein who plays the violin well", Fault.REAL_PERSON),
        ("The ferry to the island runs four times a day from May to September", Fault.ECHO),
        ("Somebody: cars must be booked the day before, skipper Rhona says", Fault.ECHO),
        ("A baker here", Fault.GRANULARITY),
        ("Eine pensionierte Geigerin aus Leeds, die früher im alten Haus spielte und sich freut.", Fault.LANGUAGE),
    ],
)
def test_planted_offenders_are_refused_by_name(text, expected):
    assert fault(text) is expected
    assert fault(text, chosen=[]) is None


@pytest.mark.parametrize(
    ("granularity", "words", "passes"),
    [
        ("coarse", 12, True),
        ("coarse", 40, False),
        ("medium", 40, True),
        ("medium", 90, False),
        ("fine", 8, False),
        ("fine", 90, True),
    ],
)
def test_how_much_a_persona_says_is_held_against_what_was_asked_for(granularity, words, passes):
    text = "A nurse who " + " ".join(f"word{number}" for number in range(words - 3))
    found = fault(text, chosen=[Fault.GRANULARITY], granularity=Granularity(granularity))
    assert (found is None) is passes


def test_a_language_is_the_documents_unless_another_was_asked_for():
    german = "Eine pensionierte Geigerin aus Leeds, die früher im alten Konzerthaus spielte und sich darüber freut."
    english = "A retired violinist from Leeds who used to play in the old concert hall and is glad about it."
    assert (fault(german, GERMAN), fault(english, GERMAN)) == (None, Fault.LANGUAGE)
    assert (fault(german, DOCUMENT), fault(english, DOCUMENT)) == (Fault.LANGUAGE, None)
    assert (fault(german, DOCUMENT, language="German"), fault(english, GERMAN, language="de")) == (None, Fault.LANGUAGE)
    assert fault(german, DOCUMENT, language="Plattdüütsch") is None  # not known: not looked at


def test_what_is_too_short_to_tell_a_language_by_passes():
    assert language_of("Hospital, hotel, taxi") == ""
    assert is_in("Hospital, hotel", ["hospital", "hotel"], "de")
    assert language_of(GERMAN) == "de"
    assert (code_of("german"), code_of("DE"), code_of("Klingon")) == ("de", "de", "")


@pytest.mark.parametrize("parent_id", [None, "p"])
@pytest.mark.parametrize(
    ("one_per_request", "echoed"),
    [
        (True, "A bicycle mechanic in Oban who takes the ferry to the island every Friday"),
        (False, "Describe each in one sentence that starts with that person"),
        (False, "Give two to four attributes, such as work, place, age, means"),
    ],
)
def test_words_of_the_prompt_and_of_its_examples_are_an_echo(parent_id, one_per_request, echoed):
    call = PersonaCall("d", parent_id, 0, GERMAN, 5, Granularity.MEDIUM, 0, one_per_request=one_per_request)
    filters = Filters([Fault.ECHO], Granularity.MEDIUM)
    grounds = filters.grounds(call.text, call.instructions)
    assert filters.fault(echoed, grounds) is Fault.ECHO
    assert filters.fault(echoed, filters.grounds(call.text)) is None
    assert filters.fault("A customs officer in Oban who cycles to the pier at five every day.", grounds) is None


def test_an_echo_is_told_in_scripts_without_spaces_too():
    document = "渡轮每天四次开往岛上，从五月到九月，汽车必须提前一天预订。"
    assert fault("汽车必须提前一天预订", document, [Fault.ECHO]) is Fault.ECHO
    assert fault("在医院工作的护士，每天晚上学习葡萄牙语", document, [Fault.ECHO]) is None
