"""Bios of two simulations with models for each step, and the backstory of somebody whose traits are given."""

import asyncio
import json

from pipelines import DatasetGenerator, DriaDataset, Model, PersonaBackstory, PersonaBio


async def main():
    bios = DriaDataset("people", "Bios of two simulations", PersonaBio[-1].OutputSchema)
    simulations = [
        {"simulation_description": "A fishing harbour in the north", "num_of_samples": 2},
        {"simulation_description": "A town on the moon", "num_of_samples": 2},
    ]
    models = [[Model.QWEN2_5_72B_OR], [Model.LLAMA_3_1_8B_OR, Model.QWEN2_5_7B_OR]]
    await DatasetGenerator(dataset=bios).generate(instructions=simulations, singletons=PersonaBio, models=models)
    story = DriaDataset("weaver", "One backstory", PersonaBackstory[-1].OutputSchema)
    traits = [{"persona_traits": ["32 years old", "a weaver", "owns a loom"]}]
    await DatasetGenerator(dataset=story).generate(instructions=traits, singletons=PersonaBackstory)
    print("RESULT " + json.dumps({"bios": bios.rows, "stories": story.rows, "arrow": bios.to_arrow().num_rows}))


if __name__ == "__main__":
    asyncio.run(main())
