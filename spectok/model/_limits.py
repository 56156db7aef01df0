"""Every limit at which the network stops a number, with its reason (layer 1: no torch needed).

Whatever goes in, a token is never NaN and never infinite, nor is a decoded spectrum. The limits
below make it so in float32, whose largest number is 3.4e38 = e^88.7. One stands before them: no
flux beyond 1e30 and no error below 1e-30 comes in (`spectok._batch.SpectrumBatch`).
"""

from __future__ import annotations

# Flux and error over the scale, and one over them: the square still fits float32, and so does
# what `asinh` makes of them. Signal to noise beyond it is no measurement.
EXTREME = 1e18

# The closed-form code.
# ---------------------
# Prior variance of a coefficient in units of a pixel's noise. More would say nothing: 1e3
# shrinks a seen pixel by 3e-5. It bounds the condition of the matrix, to 1e6.
LARGEST_VARIANCE = 1e3
# Power of a patch beyond its noise, in units of the noise: where the pixels scatter less than
# their errors say, this much is still allowed.
LEAST_POWER = 0.02
# Weight of a pixel, relative to the patch's mean error: one with a far smaller error would
# decide the patch alone, and one with a far larger error (e^-20 = 2e-9) must keep some weight.
LARGEST_WEIGHT = 30.0
LEAST_LOG_WEIGHT = -20.0
# Sum of the weights of a patch: one with nothing visible divides by it.
LEAST_WEIGHT = 1e-12
# A pixel over its patch's noise: the square fits float32.
LARGEST_SIGNAL = 1e15

# What the network adds.
# ----------------------
# asinh(change / noise): times the largest noise, e^60, it fits float32 (27 + 60 < 88).
LARGEST_CHANGE = 27.0
# A number of the context: they are of order 1, and one must not drown the others.
LARGEST_CONTEXT = 8.0
# A number of a token that is to be decoded (asinh of a flux, log of a noise): tokens beyond e^60
# are no spectrum, but what is decoded of them is finite.
LARGEST_TOKEN = 60.0
# log(model error / noise): from "none to speak of" to "not known at all".
LOG_MODEL_SIGMA = (-9.0, 6.0)

# Light curves between their tokens.
# ---------------------------------
# Logarithms of a process's lengths (days, ratios of wavelengths) and variances.
LOG_PROCESS = (-12.0, 9.0)
# Least variance of an observation, and of an answer, over that of what changes and that of the
# level: the condition of the matrix stays below what float64 can do.
LEAST_PROCESS_ERROR = 1e-7
LEAST_LEVEL_ERROR = 1e-12

# Lengths [Angstrom]: half a patch under its logarithm, a patch as a divisor. No grid is so fine.
LEAST_HALF = 1e-3
LEAST_SIZE = 1e-9

# The reader.
# -----------
# A feature of a token in units of its scatter over many spectra: one token must not decide.
LARGEST_FEATURE = 8.0

# Of its centre: where a patch of a coarse grid that would reach below zero is taken to begin.
LOWEST_EDGE = 0.1
