"""The small library behind the companion to three papers on the limits of language-model alignment.

Units are nats; ``lam`` is the inverse temperature λ = 1/β; rewards are whatever unit they come in. Bad input raises
`InputError`. Importing this package costs nothing: each name below is imported when it is first used, and ``help`` of
it shows its mathematics and an example.

A law and its tilt

- `Law`: what every reward law answers: its tilt, ``gain_at_kl``, ``kl_at_gain``, ``frontier``, ``sample``
- `FiniteLaw`: rewards with their masses
- `Gaussian`: the Gaussian law, in closed form

A rule on a law or on samples

- `BestOfN`: draw n responses and keep the best; its relatives are in ``alignlib.rules``

A reader's own table, estimated

- `RewardTable`: rewards of sampled responses from a file, arrays or a data frame
- `fit_frontier`: the limit of a reward, with interval and support
- `ask`: all that ``alignlib frontier`` prints, as data
- `lines`: that and other answers as text

A proxy against gold

- `ProxyPair`: both rewards exactly, and the price of the proxy
- `hacking_threshold`: the λ from which optimising the proxy costs gold

The bottleneck of feedback

- `capacity`: the capacity of a channel
- `RaterTable`, `estimate_capacity`: the capacity of ratings
- `ask_capacity`: all that ``alignlib capacity`` prints, as data
- `fano_floor`: the error that no learner undercuts
- `alignment_interval`: floor and ceiling, with their conditions

A training run

- `KLSamples`, `estimate_policy_kl`: the KL of a trained policy from samples
- `read_training_log`, `overlay`: a run on the frontier of its base model

All the rest

- `plotting`: pictures on axes of your own
- `InputError`: bad input, said in a sentence

What is not here is found in the rooms: ``alignlib.laws``, ``rules``, ``divergences``, ``sequences``, ``tables``,
``estimation``, ``scale``, ``pass_at_k``, ``hacking``, ``bottleneck``, ``training``, ``answers``, and, each with an
extra, ``certified``, ``models``, ``lm``. The book's part "The library" has a page for each, with formulas and examples
(``api/index.html`` in the book that ``make book`` builds).
"""

from alignlib._core.version import __version__ as __version__

TYPE_CHECKING = False  # as checkers of types know it; nothing is imported here, since Ctrl-C is not caught before us

# By noun in the docstring and in `_HOMES`.
__all__ = [
    "BestOfN", "FiniteLaw", "Gaussian", "InputError", "KLSamples", "Law", "ProxyPair", "RaterTable",
    "RewardTable", "alignment_interval", "ask", "ask_capacity", "capacity", "estimate_capacity",
    "estimate_policy_kl", "fano_floor", "fit_frontier", "hacking_threshold", "lines", "overlay", "plotting",
    "read_training_log",
]  # fmt: skip

# Where each name of the front door lives; `plotting` is a room.
_HOMES = {
    # A law and its tilt
    "Law": "alignlib.laws.law",
    "FiniteLaw": "alignlib.laws.finite",
    "Gaussian": "alignlib.laws.gaussian",
    # A rule on it
    "BestOfN": "alignlib.rules.best_of_n",
    # A reader's own table, estimated
    "RewardTable": "alignlib.tables.rewards",
    "fit_frontier": "alignlib.estimation.fitting",
    "ask": "alignlib.answers.findings",
    "lines": "alignlib.answers.output.any_answer",
    # A proxy against gold
    "ProxyPair": "alignlib.hacking.proxy_gap",
    "hacking_threshold": "alignlib.hacking.hacking_threshold",
    # The bottleneck
    "capacity": "alignlib.bottleneck.capacity",
    "RaterTable": "alignlib.tables.rater_table",
    "estimate_capacity": "alignlib.bottleneck.capacity_estimate",
    "ask_capacity": "alignlib.answers.capacity",
    "fano_floor": "alignlib.bottleneck.fano",
    "alignment_interval": "alignlib.bottleneck.interval",
    # A training run
    "estimate_policy_kl": "alignlib.training.policy_kl.estimate",
    "KLSamples": "alignlib.training.policy_kl.samples",
    "read_training_log": "alignlib.training.logs.training_log",
    "overlay": "alignlib.training.placing",
    # All the rest
    "InputError": "alignlib._core.errors",
}
_MODULES = (
    *("laws", "divergences", "rules", "sequences", "tables", "estimation", "scale", "pass_at_k", "hacking"),
    *("bottleneck", "training", "answers", "certified", "models", "lm", "plotting"),
)

if TYPE_CHECKING:
    from alignlib import answers as answers
    from alignlib import bottleneck as bottleneck
    from alignlib import certified as certified
    from alignlib import divergences as divergences
    from alignlib import estimation as estimation
    from alignlib import hacking as hacking
    from alignlib import laws as laws
    from alignlib import lm as lm
    from alignlib import models as models
    from alignlib import pass_at_k as pass_at_k
    from alignlib import plotting as plotting
    from alignlib import rules as rules
    from alignlib import scale as scale
    from alignlib import sequences as sequences
    from alignlib import tables as tables
    from alignlib import training as training
    from alignlib._core.errors import InputError as InputError
    from alignlib.answers.capacity import ask_capacity as ask_capacity
    from alignlib.answers.findings import ask as ask
    from alignlib.answers.output.any_answer import lines as lines
    from alignlib.bottleneck.capacity import capacity as capacity
    from alignlib.bottleneck.capacity_estimate import estimate_capacity as estimate_capacity
    from alignlib.bottleneck.fano import fano_floor as fano_floor
    from alignlib.bottleneck.interval import alignment_interval as alignment_interval
    from alignlib.estimation.fitting import fit_frontier as fit_frontier
    from alignlib.hacking.hacking_threshold import hacking_threshold as hacking_threshold
    from alignlib.hacking.proxy_gap import ProxyPair as ProxyPair
    from alignlib.laws.finite import FiniteLaw as FiniteLaw
    from alignlib.laws.gaussian import Gaussian as Gaussian
    from alignlib.laws.law import Law as Law
    from alignlib.rules.best_of_n import BestOfN as BestOfN
    from alignlib.tables.rater_table import RaterTable as RaterTable
    from alignlib.tables.rewards import RewardTable as RewardTable
    from alignlib.training.logs.training_log import read_training_log as read_training_log
    from alignlib.training.placing import overlay as overlay
    from alignlib.training.policy_kl.estimate import estimate_policy_kl as estimate_policy_kl
    from alignlib.training.policy_kl.samples import KLSamples as KLSamples
else:

    def __getattr__(name: str) -> object:
        from importlib import import_module  # here, not above: not before Ctrl-C is caught

        if name in _MODULES:
            value = import_module(f"{__name__}.{name}")
        elif name in _HOMES:
            home = import_module(_HOMES[name])
            room = import_module(".".join(_HOMES[name].split(".")[:2]))
            value = getattr(room, name, None) or getattr(home, name)  # as the door of the room has it
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in _MODULES if name not in __all__), "__version__"])
