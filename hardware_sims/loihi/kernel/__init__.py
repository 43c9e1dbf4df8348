"""The fast kernel: what ``definition.py`` defines, event by event, compiled by numba.

Neurons stand in blocks of ``LANES``, zero-padded, and every step on them is done for a block at a time. Only
spikes cost: the rows of weights of the neurons that spiked are added up. A slot runs its whole decision
before the next one begins, so that its state stays in the first-level cache.

    columns    what the tables of a program hold
    vectors    blocks of neurons as values, which numba lacks
    compiled   functions compiled, and kept on disk
    receive    what arrives: weights of those that spiked, added up
    update     what neurons make of it
    loihi1     the same in the other arithmetic
    messages   what they send: raster, events, counts
    run        a decision, tick by tick

Why 32-bit registers suffice for every program:

- a weight is kept as w = 2·h + l with h = w >> 1 in −128..127 and l = w & 1, both one byte. Rows of h are
  added in 16 bits, which ``ROWS`` of them cannot overflow, and then into 32 bits; patches of a
  convolution, whose weights are whole, likewise with ``MOST`` of them;
- the definition wraps sums, 64·a and u's sum to 32 bits, as two's complement does by itself. ``layout``
  refuses senders whose spikes' plain sum could leave 32 bits (it takes more than 8 million of them);
- |u| < 2³¹ with a factor m ≤ 4095, and |v| < 2²³ with m ≤ 4096, so that both products of
      |x|·m >> 12 = (|x| >> 12)·m + ((|x| & 4095)·m >> 12)
  stay below 2³¹; and so does v·m + u less a threshold, because after its wrap u is at least 2²⁴ away
  from ±2³¹.
"""
