import json
import unicodedata
from itertools import combinations

import pytest

from actors.logic.persona import Found, normal_form, normalise_space, persona_id, read_personas, why_no_person

NURSE, BAKER = "A nurse in Leeds with two sons", "A baker in Paris who rises early"
BOTH = [NURSE, BAKER]


def texts(answer: str) -> list[str]:
    return [found.text for found in read_personas(answer)]


def answer(*people: dict[str, object]) -> str:
    return json.dumps({"personas": people})


GOOD = answer({"relation": "read", "persona": NURSE}, {"relation": "write", "persona": BAKER})


# --- JSON


def test_what_was_asked_for_is_read_with_its_relations():
    assert read_personas(GOOD) == [Found(NURSE, "read"), Found(BAKER, "write")]


@pytest.mark.parametrize(
    "around",
    [
        "```json\n{}\n```",
        "```\n{}\n```",
        "Here you are:\n\n```json\n{}\n```\nTell me if you want more of them.",
        "{}\n\nI hope that these two people are of use to you!",
        "Sure, here are two people:\n{}",
        "\ufeff  {}  ",
    ],
)
def test_what_stands_around_the_json_is_no_person(around):
    assert texts(around.replace("{}", GOOD)) == BOTH


def test_of_a_truncated_answer_the_whole_ones_are_kept():
    whole = GOOD.index(BAKER)
    for cut in range(whole - 25, whole):
        whole_ones = [text for text in texts(GOOD[:cut]) if not why_no_person(text)]
        assert whole_ones == [NURSE], GOOD[:cut]


def test_an_array_of_strings_is_a_list_of_people():
    assert read_personas(json.dumps(BOTH)) == [Found(NURSE, ""), Found(BAKER, "")]


@pytest.mark.parametrize("name", ["persona", "description"])
def test_the_field_that_describes_the_person_is_its_text(name):
    assert texts(answer({"name": "Anna", name: NURSE, "age": 40})) == [NURSE]


def test_an_object_of_several_fields_is_one_person_made_of_them():
    assert read_personas('[{"age": 40, "job": "nurse", "relation": "read", "place": "Leeds", "wish": null}]') == [
        Found("40, nurse, Leeds", "read")
    ]


def test_a_person_with_a_list_among_its_fields_is_still_that_person():
    people = {"persona": NURSE, "hobbies": ["fishing in the sea", "old cars and trains"]}
    assert texts(answer(people)) == [NURSE]


@pytest.mark.parametrize("label", ["persona {}", "Persona {}", "persona{}", "{}", "Person {}:", "persona_{}"])
def test_an_object_of_numbered_people_is_one_person_each(label):
    assert texts(json.dumps({label.format(1): NURSE, label.format(2): BAKER})) == BOTH


def test_numbered_people_may_be_objects():
    nested = {"persona 1": {"relation": "like", "persona": NURSE}, "persona 2": {"persona": BAKER}}
    assert read_personas(json.dumps(nested)) == [Found(NURSE, "like"), Found(BAKER, "")]


def test_a_single_object_is_one_person():
    assert texts(json.dumps({"persona": NURSE})) == [NURSE]


def test_one_object_a_line_is_one_person_each():
    assert texts("\n".join(json.dumps({"persona": text}) for text in BOTH)) == BOTH


@pytest.mark.parametrize(
    "broken",
    [
        f'[{{"persona": "{NURSE}",}}, {{"persona": "{BAKER}",}},]',
        f"[{{'persona': '{NURSE}'}}, {{'persona': '{BAKER}'}}]",
        f'[{{persona: "{NURSE}"}}, {{persona: "{BAKER}"}}]',
        f'[{{"persona": "{NURSE}"}} {{"persona": "{BAKER}"}}]',
    ],
)
def test_json_with_the_usual_mistakes_is_read(broken):
    assert texts(broken) == BOTH


@pytest.mark.parametrize("nobody", ["{}", "[]", '{"personas": []}', "null", "42", '{"personas": null}', "[[], {}]"])
def test_json_without_people_holds_nobody(nobody):
    assert texts(nobody) == []


def test_a_long_relation_is_cut_and_put_on_one_line():
    [found] = read_personas(answer({"relation": "a  friend\nof " + "x" * 200, "persona": NURSE}))
    assert found.relation.startswith("a friend of xxx")
    assert len(found.relation) == 80


# --- lists


@pytest.mark.parametrize(
    "mark",
    [
        "{}. ",
        "{}) ",
        "({}) ",
        "- ",
        "* ",
        "• ",
        "  - ",
        "Persona {}: ",
        "PERSONA {}. ",
        "**Persona {}:** ",
        "**Persona {}**: ",
        "{}. **Persona {}:** ",
        "- **Persona {}:** ",
        "- Persona {}: ",
    ],
)
def test_a_list_is_one_person_a_line_without_its_marks(mark):
    lines = [mark.replace("{}", str(number)) + text for number, text in enumerate(BOTH, 1)]
    assert texts("\n".join(lines)) == BOTH
    assert texts("Here are the two people:\n\n" + "\n\n".join(lines) + "\n\nTell me if you want more.") == BOTH


def test_bold_within_a_list_is_taken_off():
    assert texts("1. **A nurse** in Leeds with **two** sons") == [NURSE]


def test_a_number_within_a_person_is_not_a_mark():
    assert texts("- A nurse, 40. Lives in Leeds: alone") == ["A nurse, 40. Lives in Leeds: alone"]


@pytest.mark.parametrize("aside", ["[in Leeds]", "{in Leeds}"])
def test_brackets_in_a_list_do_not_hide_its_people(aside):
    assert texts(f"1. A nurse {aside} with two sons\n2. {BAKER}") == [f"A nurse {aside} with two sons", BAKER]


def test_brackets_before_a_list_do_not_hide_its_people():
    assert texts(f"Here are two people [as asked]:\n1. {NURSE}\n2. {BAKER}") == BOTH


@pytest.mark.parametrize(
    "prose",
    [
        "",
        "   \n",
        "I am sorry, but I cannot help with that request.",
        "The people who read this text are nurses, bakers and their friends.\nThey live in many towns.",
        "I cannot help with this [since the text is a private letter].",
        "1.5 million people live in that town by the sea.",
        "**Note** that I will not describe any real person here.",
        "Personal letters are nothing that I describe people from.",
    ],
)
def test_prose_holds_nobody(prose):
    assert texts(prose) == []


# --- what is kept of them


def test_whitespace_is_put_on_one_line():
    assert texts(json.dumps([" A nurse\tin\n\nLeeds \u00a0 with  two sons "])) == [NURSE]


def test_composed_and_decomposed_letters_are_written_alike():
    assert normalise_space(unicodedata.normalize("NFD", "Café  crème")) == "Café crème"


def test_repeats_within_an_answer_are_one_person_and_the_first_spelling_stays():
    repeats = [NURSE, BAKER, NURSE.upper(), f"{BAKER}.", f"  {NURSE}"]
    assert texts(json.dumps(repeats)) == BOTH


def test_of_repeats_the_first_relation_stays():
    assert read_personas(answer({"relation": "read", "persona": NURSE}, {"relation": "like", "persona": NURSE})) == [
        Found(NURSE, "read")
    ]


def test_what_is_too_short_or_far_too_long_is_nobody_and_it_is_said_why():
    long = "A nurse " + "of very many words " * 60
    assert len(long) > 1000
    assert [bool(why_no_person(text)) for text in ("nurse", "A nurse", long, NURSE)] == [True, True, True, False]
    assert "1,000 characters" in why_no_person(long) and "3 words" in why_no_person("nurse")


@pytest.mark.parametrize("junk", ["... ... ...", "— — — —", "*** *** ***"])
def test_what_has_no_letter_is_nobody(junk):
    assert texts(json.dumps([junk])) == []


WRITTEN_WITHOUT_SPACES = [
    "一位住在上海的退休教师，喜欢种花",
    "東京で働く若い看護師",
    "ครูเกษียณอายุที่อาศัยอยู่ในเชียงใหม่",
    "គ្រូបង្រៀនចូលនិវត្តន៍នៅភ្នំពេញ",
]


@pytest.mark.parametrize("person", WRITTEN_WITHOUT_SPACES)
def test_a_person_written_without_spaces_is_a_person(person):
    assert texts(json.dumps([person], ensure_ascii=False)) == [person]


# --- ids


def test_the_same_text_of_the_same_parent_has_the_same_id_in_every_run():
    assert persona_id("doc", None, NURSE) == "ec558c8f9b70974d29cdeef6"
    assert persona_id("doc", "parent", NURSE) == "80619b1a50d46aaefb6df13d"


def test_another_document_parent_or_text_has_another_id():
    ids = {
        persona_id("doc", None, NURSE),
        persona_id("other", None, NURSE),
        persona_id("doc", "parent", NURSE),
        persona_id("doc", "other parent", NURSE),
        persona_id("doc", None, BAKER),
    }
    assert len(ids) == 5


def test_an_id_is_12_bytes_in_hex_as_the_index_keeps_it():
    assert len(bytes.fromhex(persona_id("doc", None, "漢字"))) == 12


# --- the normal form


@pytest.mark.parametrize(
    "other",
    [
        "a NURSE in leeds",
        "A nurse, in Leeds.",
        "  A  nurse\nin Leeds ",
        "Ａ ｎｕｒｓｅ ｉｎ Ｌｅｅｄｓ",
        "“A nurse” in Leeds!",
        "A nurse_in_Leeds",
    ],
)
def test_width_case_punctuation_and_space_are_folded(other):
    assert normal_form(other) == normal_form("A nurse in Leeds")


def test_ligatures_and_sharp_s_are_folded():
    assert normal_form("Straße oﬃce") == normal_form("STRASSE office")
    assert normal_form(unicodedata.normalize("NFD", "Café")) == normal_form("CAFÉ")


def test_words_are_not_run_together():
    assert normal_form("a nurse-in Leeds") != normal_form("a nursein Leeds")


ONE_SIGN_APART = [
    ("एक लड़का जो स्कूल जाता है", "एक लड़की जो स्कूल जाती है"),  # a boy, a girl who goes to school
    ("คุณปู่", "คุณปี่"),  # grandfather, Mr. Reed
    ("বাবা", "বিবি"),  # a father, a lady
    ("மாமா", "மாமி"),  # an uncle, an aunt
]


@pytest.mark.parametrize(("one", "other"), ONE_SIGN_APART)
def test_vowel_signs_tell_words_apart(one, other):
    assert normal_form(one) != normal_form(other)


SCRIPTS = [
    "一位住在上海的退休教师",
    "東京で働く若い看護師",
    "서울에 사는 간호사",
    "Медсестра из Лидса",
    "Μια νοσοκόμα στο Λιντς",
    "ممرضة في مدينة ليدز",
    "אחות בעיר לידס",
    "लीड्स में एक नर्स",
    "พยาบาลในเมืองลีดส์",
    "ბაღის მებაღე ქალი",
    "ሊድስ ውስጥ ያለች ነርስ",
]


def test_no_script_folds_away_and_different_ones_stay_different():
    forms = [normal_form(text) for text in SCRIPTS]
    assert all(len(form.replace(" ", "")) >= 8 for form in forms)
    assert all(one != other for one, other in combinations(forms, 2))


def test_the_normal_form_of_a_normal_form_is_itself():
    for text in [*SCRIPTS, *BOTH, "Straße oﬃce", "ⅷ. İstanbul"]:
        assert normal_form(normal_form(text)) == normal_form(text)
