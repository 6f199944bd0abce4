"""The small library behind the companion to *Theoretical Limits of Language Model Alignment*.

Units are nats; ``lam`` is the inverse temperature λ = 1/β; rewards are whatever unit they come in.
"""

__version__ = "0.1.0"
