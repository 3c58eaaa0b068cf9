"""What a description says of its person, and what only looks like it."""

import pytest

from actors.logic.audit.lexicon import attributes, phrases
from actors.logic.audit.reading import label


def told(text: str) -> dict[str, str]:
    return {name: one.group for name, one in label(text).of.items()}


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("A 52-year-old nurse in Lagos.", "50–59"),
        ("A nurse who is 52 years old.", "50–59"),
        ("A farmer aged 80, who keeps bees.", "80+"),
        ("Maria, 34, a welder from Glasgow.", "30–39"),
        ("A statistician of 63 who plants trees.", "60–69"),
        ("A fifty-two-year-old baker.", "50–59"),
        ("A detective in his mid-50s.", "50–59"),
        ("A single mother in her early forties.", "40–49"),
        ("A retired schoolteacher from rural Bavaria, 71, who paints.", "70–79"),
        ("A thirty-something illustrator.", "30–39"),
        ("An octogenarian fisherman.", "80+"),
        ("A teenager who codes.", "13–19"),
        ("A 7-year-old boy who collects stones.", "0–12"),
        ("A mother of a 5-year-old who teaches.", None),
        ("A caregiver for her 80-year-old father.", None),
        ("A carer for people in their eighties.", None),
        ("A mechanic with 30 years of experience.", None),
        ("A middle-aged accountant.", None),
        ("A team of 300 people.", None),
        ("A historian of the 1920s.", None),
    ],
)
def test_ages(text, age):
    assert told(text).get("age") == age


@pytest.mark.parametrize(
    ("text", "gender"),
    [
        ("A mother of two who drives a tram.", "woman"),
        ("A nurse practitioner's husband from Ohio.", "man"),
        ("The husband of a nurse.", "man"),
        ("A woman engineer.", "woman"),
        ("A female truck driver.", "woman"),
        ("A nonbinary potter.", "nonbinary"),
        ("A plumber who lost his licence.", "man"),
        ("A plumber who taught herself to read.", "woman"),
        ("A welder who was the first woman in her shop.", "woman"),
        ("A widower who misses her.", "man"),
        ("A farmer whose wife lost her job.", None),
        ("A nurse who cares for her father and his dog.", None),
        ("A boy scout leader.", None),
        ("A teacher of the mother tongue.", None),
        ("A midwife.", None),
        ("A fisherman.", None),
        ("Maria, a welder.", None),
        ("A cook who loves their garden.", None),
    ],
)
def test_genders(text, gender):
    assert told(text).get("gender") == gender


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("A nurse in Lagos.", "Sub-Saharan Africa"),
        ("A software engineer who grew up in Nairobi and lives in Berlin.", "Western Europe"),
        ("A janitor in a suburb of Cleveland.", "Northern America"),
        ("A potter on the coast of Maine.", "Northern America"),
        ("A marathon runner based in Glasgow.", "Northern Europe"),
        ("A London-based lawyer.", "Northern Europe"),
        ("A Kenyan farmer.", "Sub-Saharan Africa"),
        ("A Nigerian nurse living in London.", "Northern Europe"),
        ("A Brazilian high school student.", "Latin America and the Caribbean"),
        ("The owner of a bakery in Lyon.", "Western Europe"),
        ("A shepherd in the Atacama desert.", "Latin America and the Caribbean"),
        ("A fan of Paris Hilton.", None),
        ("A woman who grew up in Ohio.", None),
        ("A historian of France.", None),
        ("A historian specializing in the wars of Japan.", None),
        ("A student who is passionate about the politics of Kenya.", None),
        ("A doctor who dreams of visiting Argentina.", None),
        ("A nurse whose sister moved to Canada.", None),
        ("An English professor.", None),
        ("A French teacher.", None),
        ("A Swedish massage therapist.", None),
        ("A Nigerian-born surgeon.", None),
        ("A Mexican immigrant.", None),
        ("A woman trying to bring a sister over from Syria.", None),
        ("a collector of china and turkey feathers", None),
    ],
)
def test_regions(text, region):
    assert told(text).get("region") == region


@pytest.mark.parametrize(
    ("text", "job"),
    [
        ("A nurse in Lagos.", "nurse"),
        ("A nurse manager at a clinic.", "manager"),
        ("A teacher and part-time beekeeper.", "teacher"),
        ("A mother of two and electrician.", "electrician"),
        ("A single mother who works as a taxi driver.", "taxi driver"),
        ("A man who is a welder.", "welder"),
        ("A high school dropout turned CEO.", "ceo"),
        ("A retired schoolteacher.", "schoolteacher"),
        ("A retired woman from Ohio.", "retired"),
        ("I am a 28-year-old Nigerian nurse.", "nurse"),
        ("She's a truck driver.", "truck driver"),
        ("A coffee shop owner.", "shop owner"),
        ("A nurse practitioner's husband.", ""),
        ("The husband of a nurse.", ""),
        ("A nurse shark enthusiast.", ""),
        ("An aspiring actor.", ""),
        ("A girl who wants to become a doctor.", ""),
        ("A patient who is seeing a doctor.", ""),
        ("A woman whose brother is a soldier.", ""),
        ("A widow married to a baker once.", ""),
        ("An amateur photographer.", ""),
    ],
)
def test_jobs(text, job):
    assert label(text).job == job


def test_jobs_fall_into_the_major_groups_of_isco_08():
    expected = {
        "soldier": "armed forces",
        "mayor": "managers",
        "midwife": "professionals",
        "paramedic": "technicians and associate professionals",
        "receptionist": "clerical support workers",
        "hairdresser": "service and sales workers",
        "beekeeper": "skilled agricultural, forestry and fishery workers",
        "blacksmith": "craft and related trades workers",
        "bus driver": "plant and machine operators, and assemblers",
        "street sweeper": "elementary occupations",
        "student": "no paid work",
    }
    assert {title: told(f"The {title} of the town.").get("occupation") for title in expected} == expected


@pytest.mark.parametrize(
    ("text", "attribute", "group"),
    [
        ("A teacher with a master's degree.", "education", "master"),
        ("A PhD student with a master's degree.", "education", "doctorate"),
        ("A high school dropout.", "education", "secondary"),
        ("An illiterate shepherd.", "education", "primary or none"),
        ("A college-educated farmer.", "education", "first degree"),
        ("A high school teacher.", "education", None),
        ("A farmer whose daughter has a PhD.", "education", None),
        ("A chess master.", "education", None),
        ("A world-renowned surgeon.", "expertise", "expert"),
        ("A seasoned detective.", "expertise", "experienced"),
        ("A welder with 20 years of experience.", "expertise", "experienced"),
        ("A welder with no experience.", "expertise", "beginner"),
        ("An aspiring actor.", "expertise", "beginner"),
        ("A railway enthusiast.", "expertise", "amateur"),
        ("A senior citizen.", "expertise", None),
        ("A doctor who meets a world-renowned surgeon.", "expertise", None),
        ("A Spanish-speaking janitor.", "language", "Spanish"),
        ("A guide who speaks German and French.", "language", "several"),
        ("A native speaker of Swahili.", "language", "Swahili"),
        ("A bilingual clerk.", "language", "several"),
        ("A traveller in Spanish-speaking countries.", "language", None),
        ("A student who is learning Japanese.", "language", None),
        ("A nurse whose wife speaks Thai.", "language", None),
    ],
)
def test_education_expertise_and_language(text, attribute, group):
    assert told(text).get(attribute) == group


@pytest.mark.parametrize(
    "text",
    ["Eine Lehrerin aus Hamburg, die gern liest.", "Une infirmière de Lyon qui aime le jazz.", "東京に住む看護師", ""],
)
def test_of_a_text_that_is_not_english_nothing_is_known_and_it_is_said(text):
    assert label(text).of == {} and not label(text).is_english


def test_the_words_that_say_so_are_told_as_they_are_written():
    assert label("A 52-year-old woman with a Master's degree.").of["education"].words == "Master's degree"
    assert label("A 52-year-old woman.").of["age"].words == "52-year-old"


def test_curly_apostrophes_are_read_as_straight_ones():
    assert told("A nurse’s husband with a master’s degree.") == {"gender": "man", "education": "master"}


def test_each_group_of_every_attribute_has_a_prototype_and_words_or_rules_that_find_it():
    found = {(kind, group) for some in phrases().by_first.values() for _, kind, group in some}
    for name, attribute in attributes().items():
        for group in attribute.groups:
            assert group.prototypes
            assert (name, group.name) in found, group.name


def test_no_title_belongs_to_two_groups_of_an_attribute():
    seen: dict[tuple[str, ...], str] = {}
    for first, some in phrases().by_first.items():
        for rest, kind, group in some:
            key = (kind, first, *rest)
            assert seen.setdefault(key, group) == group, key
