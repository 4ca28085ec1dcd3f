"""``make gpu-tune``: times what the kernels leave open, and recommends a setting for each choice.

Each setting is compiled into a program of its own (``gpu_tune.cu`` and ``csrc/kernels/*.cu``), all at once; then they
run in turn, some times over. What counts is a setting's time against the default's, each measured by a copy beside it.
"""

import csv
import io
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .gpu_machine import LOGS, RESULTS, ROOT, Program, architecture, file_name, gpu_name, nvcc, refuse_without_gpu

JOB = "make gpu-tune"
KERNELS = ROOT / "csrc" / "kernels"
PREFIX = "TORCHCROP_FAST_"
TURNS = 4  # of each program

# What is as fast as the default but for noise is not worth a change; nor is what slows any case down.
WORTH, TOLERATED = 1.01, 0.98


@dataclass(frozen=True)
class Choice:
    """Something that the kernels leave open: a macro, and the values to try beside its default.

    A value of None defines the macro without one.
    """

    name: str
    macro: str
    values: tuple[int | None, ...]


CHOICES = (
    Choice("threads of a block", "THREADS", (64, 256)),
    Choice("threads that a multiprocessor is to hold", "RESIDENT_THREADS", (0, 1024, 2048)),
    Choice("chunks that a block writes", "BLOCK_CHUNKS", (256, 512, 2048)),
    Choice("blocks from which on they write so many", "MANY_BLOCKS", (256, 4096)),
    Choice("stores that pass the caches (__stcs)", "STORE_STREAMING", (None,)),
    Choice("plain loads in place of __ldg", "LOAD_CACHED", (None,)),
    Choice("loads that leave the first cache alone (__ldcg)", "LOAD_PAST_L1", (None,)),
    Choice("aligned words by four loads of 32 bits", "LOAD_WORDS", (None,)),
    Choice("chunks that lie side by side in a loop", "UNROLL", (2,)),
    Choice("threads of a block of small outputs", "SMALL_THREADS", (32, 64)),
    Choice("rows whose chunks at borders are written apart, in bytes", "LONG_ROW", (32, 128, 512)),
    Choice("chunks that a thread normalizes", "CHUNKS_OF_THREAD", (3, 4, 16)),
    Choice("threads from which on each normalizes several rows", "MANY_THREADS", (1 << 17, 1 << 21)),
)
DEFAULT, AGAIN, TOGETHER = "default", "default again", "all that is recommended"

Flags = tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """What one program took for one case, in one of its turns."""

    setting: str
    turn: int
    case: str
    kind: str
    bytes: int
    us: float  # a call, the median of the rounds
    copy_us: float  # a copy of as many bytes, likewise
    checksum: str


@dataclass(frozen=True)
class Score:
    """How a setting compares with the default: how many times as fast it is."""

    setting: str
    speed: float  # the geometric mean over the cases
    worst: float
    worst_case: str
    best: float
    best_case: str

    def wins(self, noise: float) -> bool:
        """Whether it is faster, for certain, and slows nothing down."""
        return self.speed >= certain(noise) and self.spares(noise)

    def spares(self, noise: float) -> bool:
        """Whether it slows nothing down."""
        return self.worst >= min(TOLERATED, 1 - 2 * noise)


def certain(noise: float) -> float:
    """How many times as fast is faster for certain."""
    return max(WORTH, 1 + 2 * noise)


def main() -> int:
    """Build, time, recommend; 1 if a program fails or settings disagree about a result."""
    refuse_without_gpu(JOB, ())
    offered, absent = offered_choices(CHOICES, kernel_text())
    for choice in absent:
        print(f"{choice.name}: the kernels don't offer it: no {PREFIX}{choice.macro} in csrc/kernels.")
    flags = settings(offered)
    begin = time.monotonic()
    programs = build(flags, {})
    print(f"[{time.monotonic() - begin:5.1f} s] {len(programs)} programs are built.", flush=True)
    figures = run(programs, TURNS)
    print(f"[{time.monotonic() - begin:5.1f} s] They have run {TURNS} times each, in turn.", flush=True)
    noise = noise_of(figures)
    winners = [flag for name in best_of(offered, figures, noise) for flag in flags[name]]
    if len(winners) > 1:
        flags[TOGETHER] = tuple(winners)
        programs = build({TOGETHER: flags[TOGETHER]}, programs)
        chosen = {name: programs[name] for name in (DEFAULT, TOGETHER)}
        figures += run(chosen, TURNS, first=TURNS)
    text = recommendation(offered, figures, flags)
    kept = {"gpu": gpu_name(), "flags": flags, "figures": [vars(figure) for figure in figures]}
    file = RESULTS / f"gpu-tune-{file_name(gpu_name())}.json"
    lines = ",\n".join(json.dumps(figure, separators=(",", ":")) for figure in kept.pop("figures"))
    file.write_text(json.dumps(kept, indent=1).removesuffix("\n}") + f',\n "figures": [\n{lines}\n]\n}}\n')
    print(f"{file}: the figures.\n\n{text}")
    return 0


def kernel_text() -> str:
    """All that the kernels say."""
    return "\n".join(path.read_text() for path in sorted(KERNELS.iterdir()) if path.suffix in (".h", ".cu"))


def offered_choices(choices: Iterable[Choice], text: str) -> tuple[list[Choice], list[Choice]]:
    """Those whose macros the kernels look at, and the others: they would time the default against itself."""
    offered = [choice for choice in choices if f"defined({PREFIX}{choice.macro})" in text]
    return offered, [choice for choice in choices if choice not in offered]


def settings(choices: Iterable[Choice]) -> dict[str, Flags]:
    """The flags of each program: the default, once more to see the noise, and one for each value of each choice."""
    flags: dict[str, Flags] = {DEFAULT: (), AGAIN: ()}
    for choice in choices:
        for value in choice.values:
            flags[setting_of(choice, value)] = (f"-D{PREFIX}{choice.macro}" + ("" if value is None else f"={value}"),)
    return flags


def setting_of(choice: Choice, value: int | None) -> str:
    """What a setting is called."""
    return choice.macro if value is None else f"{choice.macro}={value}"


def compiler() -> list[str]:
    """How a program is compiled, but for its flags and sources."""
    return [str(nvcc()), "-O3", "-std=c++20", "--expt-relaxed-constexpr", f"-I{KERNELS}"]


def build(flags: Mapping[str, Flags], built: Mapping[str, str]) -> dict[str, str]:
    """Compile a program for each setting, as many at a time as there are cores.

    Raises:
        SystemExit: If one does not compile.
    """
    programs = dict(built)
    folder = LOGS / "tune"
    folder.mkdir(parents=True, exist_ok=True)
    sources = [str(path) for path in sorted(KERNELS.glob("*.cu"))] + [str(ROOT / "bench" / "gpu_tune.cu")]
    arch = f"-arch=sm_{architecture().replace('.', '')}"
    waiting = list(flags)
    running: dict[str, Program] = {}
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            name = waiting.pop(0)
            if name == AGAIN:
                continue
            programs[name] = str(folder / file_name(name))
            command = [*compiler(), arch, *flags[name], *sources]
            running[name] = Program(f"nvcc {name}", [*command, "-o", programs[name]], 300)
        for name, program in list(running.items()):
            if program.ended():
                if program.wait() != 0:
                    sys.exit(f"{JOB}: {name} does not compile:\n{program.output}")
                del running[name]
        time.sleep(0.05)
    if AGAIN in flags:
        programs[AGAIN] = programs[DEFAULT]
    return programs


def run(programs: Mapping[str, str], turns: int, first: int = 0) -> list[Figure]:
    """Run all programs in turn, in an order drawn anew for each turn.

    Raises:
        SystemExit: If one fails.
    """
    rng = random.Random(first)
    figures = []
    for turn in range(first, first + turns):
        for name in rng.sample(list(programs), len(programs)):
            process = subprocess.run([programs[name]], capture_output=True, text=True, timeout=120, check=False)
            if process.returncode != 0:
                sys.exit(f"{JOB}: {name} failed: {process.stderr.strip()}")
            figures += figures_of(name, turn, process.stdout)
    wrong = disagreements(figures)
    if wrong:
        sys.exit(f"{JOB}: results differ from the default's: {'; '.join(wrong)}.")
    return figures


def figures_of(setting: str, turn: int, printed: str) -> list[Figure]:
    """What a program has printed, the rounds of each case summed up."""
    by_case: dict[str, list[dict[str, str]]] = {}
    for line in csv.DictReader(io.StringIO(printed)):
        by_case.setdefault(line["case"], []).append(line)
    return [
        Figure(
            setting,
            turn,
            case,
            lines[0]["kind"],
            int(lines[0]["bytes"]),
            statistics.median(float(line["us"]) for line in lines),
            statistics.median(float(line["copy_us"]) for line in lines),
            lines[0]["checksum"],
        )
        for case, lines in by_case.items()
    ]


def disagreements(figures: Iterable[Figure]) -> list[str]:
    """Which settings gave another result than the default."""
    kept = list(figures)
    expected = {figure.case: figure.checksum for figure in kept if figure.setting == DEFAULT}
    wrong = [f"{f.setting}, {f.case}" for f in kept if f.checksum != expected.get(f.case, f.checksum)]
    return list(dict.fromkeys(wrong))


def shares(figures: Iterable[Figure]) -> dict[tuple[str, str], dict[int, float]]:
    """For each setting and case, in each turn: the copy's time, as a share of its own."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for figure in figures:
        found.setdefault((figure.setting, figure.case), {})[figure.turn] = figure.copy_us / figure.us
    return found


def speeds(figures: Iterable[Figure]) -> dict[str, dict[str, float]]:
    """For each setting and case how many times as fast as the default it is: the median of the turns that both ran."""
    of = shares(figures)
    found: dict[str, dict[str, float]] = {}
    for (setting, case), turns in of.items():
        default = of[DEFAULT, case]
        found.setdefault(setting, {})[case] = statistics.median(turns[t] / default[t] for t in turns if t in default)
    return found


def scores_of(figures: Iterable[Figure]) -> dict[str, Score]:
    """How each setting compares with the default over all cases."""
    scores = {}
    for setting, of_case in speeds(figures).items():
        mean = math.exp(statistics.fmean(math.log(speed) for speed in of_case.values()))
        worst, best = min(of_case, key=of_case.__getitem__), max(of_case, key=of_case.__getitem__)
        scores[setting] = Score(setting, mean, of_case[worst], worst, of_case[best], best)
    return scores


def noise_of(figures: Iterable[Figure]) -> float:
    """How far the default seems to be from itself, in the mean over the cases."""
    again = speeds(figures).get(AGAIN, {})
    return statistics.fmean(abs(speed - 1) for speed in again.values()) if again else 0.0


@dataclass(frozen=True)
class Advice:
    """What to take for a choice.

    Attributes:
        for_all: The fastest setting of those that help; None if there is none.
        by_kind: For each kind of case its fastest setting, where that wins over the default and over the one for all.
    """

    for_all: str | None
    by_kind: Mapping[str, Score]


def kinds_of(figures: Iterable[Figure]) -> dict[str, list[Figure]]:
    """The figures of each kind of case."""
    kinds: dict[str, list[Figure]] = {}
    for figure in figures:
        kinds.setdefault(figure.kind, []).append(figure)
    return kinds


def helps(setting: str, figures: Sequence[Figure], noise: float) -> bool:
    """Whether a setting is faster for some kind of case and slows none down."""
    of_kinds = [scores_of(of_kind)[setting] for of_kind in kinds_of(figures).values()]
    return any(score.wins(noise) for score in of_kinds) and all(score.spares(noise) for score in of_kinds)


def advice_on(choice: Choice, figures: Sequence[Figure], noise: float) -> Advice:
    """Decide a choice: for all cases where one setting does for all, and by kind where another one does more."""
    overall = scores_of(figures)
    names = [setting_of(choice, value) for value in choice.values]
    tried = [overall[name] for name in names if name in overall]
    helpful = [score for score in tried if helps(score.setting, figures, noise)]
    for_all = max(helpful, key=lambda score: score.speed).setting if helpful else None
    by_kind: dict[str, Score] = {}
    for kind, of_kind in kinds_of(figures).items():
        scores = scores_of(of_kind)
        winners = [scores[score.setting] for score in tried if scores[score.setting].wins(noise)]
        least = scores[for_all or DEFAULT].speed * certain(noise)
        if winners and (winner := max(winners, key=lambda score: score.speed)).speed >= least:
            by_kind[kind] = winner
    return Advice(for_all, by_kind)


def best_of(choices: Iterable[Choice], figures: Sequence[Figure], noise: float) -> list[str]:
    """The settings that are recommended for all cases."""
    advices = [advice_on(choice, figures, noise) for choice in choices]
    return [advice.for_all for advice in advices if advice.for_all]


def recommendation(choices: Sequence[Choice], figures: Sequence[Figure], flags: Mapping[str, Flags]) -> str:
    """The table of settings, cases and kinds of cases, then a sentence for each choice."""
    from .gpu_report import table  # which needs torch, as this file does not

    by_case, scores, noise = speeds(figures), scores_of(figures), noise_of(figures)
    of_copy = shares(figures)
    names = [name for name in by_case if name != DEFAULT]
    lines = []
    for kind, of_kind in kinds_of(figures).items():
        for case in dict.fromkeys(figure.case for figure in of_kind):
            share = f"{100 * statistics.median(of_copy[DEFAULT, case].values()):.0f}%"
            lines.append([case, share, *(f"{by_case[name][case]:.3f}" for name in names)])
        of_settings = scores_of(of_kind)
        lines.append([f"**{kind}**", "", *(f"{of_settings[name].speed:.3f}" for name in names)])
    parts = [table(("case, kind", "default, % of the copy", *names), lines)]
    parts.append(f"Times as fast as the default. The default against itself differs by {100 * noise:.1f}% a case.")
    sentences = [f"- {choice.name}: {_told(choice, figures, flags, noise)}." for choice in choices]
    if TOGETHER in scores:
        score = scores[TOGETHER]
        verdict = "take them all" if helps(TOGETHER, figures, noise) else "they don't add up: take the best one alone"
        sentences.append(
            f"- together, {' '.join(flags[TOGETHER])}: {score.speed:.3f} times as fast, at worst {score.worst:.3f}"
            f" ({score.worst_case}): {verdict}."
        )
    return "\n\n".join([*parts, "\n".join(sentences)]) + "\n"


def _told(choice: Choice, figures: Sequence[Figure], flags: Mapping[str, Flags], noise: float) -> str:
    advice, scores = advice_on(choice, figures, noise), scores_of(figures)
    by_kind = "; ".join(f"{kind}: {_at_worst(score)}" for kind, score in advice.by_kind.items())
    if advice.for_all:
        score = scores[advice.for_all]
        return (
            f"take {' '.join(flags[advice.for_all])}, {score.speed:.3f} times as fast, {score.worst:.3f}"
            f" ({score.worst_case}) to {score.best:.3f} ({score.best_case})"
        ) + (f"; or faster still, by kind. {by_kind}" if by_kind else "")
    if by_kind:
        return f"by kind, since none does for all. {by_kind}; else the default"
    tried = [scores[setting_of(choice, value)] for value in choice.values]
    return f"keep the default. {'; '.join(map(_at_worst, tried))}"


def _at_worst(score: Score) -> str:
    return f"{score.setting} {score.speed:.3f} times as fast, at worst {score.worst:.3f} ({score.worst_case})"


if __name__ == "__main__":
    sys.exit(main())
