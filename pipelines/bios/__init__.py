"""`populace bios`: the people of a simulation, from its random variables or from personas."""

from pipelines.bios.flow import bios

__all__ = ["bios"]
