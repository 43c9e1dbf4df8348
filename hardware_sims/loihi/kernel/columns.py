"""What the tables of a program hold, see ``layout.Layout``; and the size of a block of neurons."""

from __future__ import annotations

LANES = 32
"""Neurons of a block."""

# Columns of the population table.
KIND, COLUMN, SIZE, FIRST, BLOCKS, START, STOP, SYNAPSES_FROM, SYNAPSES_TO, DETAIL = range(10)
SOURCE, GATE, LIF, OWING = range(4)
LEVELS, TERNARY, GRADED, PRODUCT, MULTIPLE = range(4, 9)  # whose messages are graded
# Details of an OWING or MULTIPLE population, and of a GRADED one; a PRODUCT's is its shift.
LATE, SUBTRACTS, ONCE, STAYS = 1, 2, 4, 8
RECTIFIES = 1
# Columns of the synapse table; those from PLACES on are for what is not DENSE.
PRE, PRE_COLUMN, DELAY, EXPONENT, HALVES, ODDS, BLANK_FROM, BLANK_TO, FORM, WEIGHTED, PORT = range(11)
PLACES, PATCHES, GATHER, GRID, GRID_HEIGHT, GRID_WIDTH, GROUPS, HEIGHT, WIDTH = range(11, 20)
SEEN, SPAN, PITCH, MOST, SYNAPSE_COLUMNS = range(20, 25)
DENSE, SHARED, LISTED = range(3)
# The parameters.
FACTOR_U, FACTOR_V, THRESHOLD, LOW = range(4)
TAKEN = LOW  # off v for a spike, where the reset subtracts
REFRACTORY = LOW  # in arithmetic loihi1, which has no neurons with a low threshold
# Entries of the schedule.
TICKS, TOTAL, READ_COLUMN, READ_SIZE, READ_FROM, READ_TO, READ_MEMBRANE = range(7)
