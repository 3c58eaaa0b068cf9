"""A population like a census: the traits of each person are drawn from tables, and a model writes who that is."""

from pathlib import Path

from pipelines import DatasetGenerator, DriaDataset, PersonaBackstory

TABLE = """region,sex,age,count
north,female,18 to 24,1204
north,male,18 to 24,1187
south,female,25 to 64,20551
south,male,25 to 64,19870
"""


def main() -> None:
    table = Path("census.csv")
    table.write_text(TABLE)
    people = DriaDataset("valley", "People of a river valley", PersonaBackstory[-1].OutputSchema)
    generator = DatasetGenerator(people, settings={"bios.variables": [str(table)]})
    valley = {"simulation_description": "A river valley with a northern and a southern county", "num_of_samples": 4}
    generator.generate_sync(instructions=[valley], singletons=PersonaBackstory)
    people.to_json("valley.json")
    for row in people:
        print(row["traits"], row["backstory"], sep="\n  ")


if __name__ == "__main__":
    main()
