"""Corpora of descriptions whose shares and ties are known, for the audit to find."""

import random

JOBS = {"nurse": "professionals", "engineer": "professionals", "farmer": "skilled agricultural", "baker": "craft"}
PLACES = ["Lagos", "Lyon", "Osaka", "Ohio", "Lima"]


def planted(count, women=0.5, women_nurses=None, seed=0, jobs=tuple(JOBS)):
    """Of these people `women` are women; of the nurses `women_nurses`, where that is given."""
    rng = random.Random(seed)
    for at in range(count):
        job = rng.choice(jobs)
        share = women_nurses if job == "nurse" and women_nurses is not None else women
        who = "woman" if rng.random() < share else "man"
        yield f"p{at:06}", f"A {rng.randrange(20, 70)}-year-old {who}, {job} in {rng.choice(PLACES)}, number {at}."
