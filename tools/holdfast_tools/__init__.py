"""The Python part of the tools. Run by their shell entry points, as `python3 -m holdfast_tools.…`."""
