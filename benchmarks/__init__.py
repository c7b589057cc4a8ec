"""`python -m benchmarks`: what Voxelsmith costs, beside a straightforward implementation, in one run on one machine.

parts      what is measured (parts.py), each measuring process in a file of its own:
           machine.py  networks.py  writing.py  beside/scoring.py  serving.py (the stack; requesting.py is its client)
subjects   whose networks (subjects.py: where a new family is added), with plain_*.py as the straightforward way
results    dataclasses (results.py) -> JSON, targets.py, table.py, plot.py

Every measurement has a process of its own (children.py), so that peak memory is its own. Figures of different
machines or runs do not compare; the ratios of one run do.
"""
