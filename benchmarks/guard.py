"""Regression guard: print the ratios to a copy that bitdrop promises, and fail if one is missed.

    python benchmarks/guard.py

Run it on an idle machine before you submit a change. It takes about a minute and a half. A missed ratio
counts only if a second, longer measurement misses it again.
"""

import argparse
import sys
from collections.abc import Sequence

import machine
import report
import targets
from competitors.bitdrop_layer import check_scalar
from timing import buffers


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status: 1 if a target is missed, else 0."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="thread count of bitdrop and the copy")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each ratio")
    sizes = sorted({target.size for target in targets.TARGETS})
    parser.add_argument(
        "--sizes", type=int, nargs="+", choices=sizes, default=sizes, help="numbers of elements"
    )
    options = parser.parse_args(arguments)
    report.print_facts(machine.facts())
    chosen = [target for target in targets.TARGETS if target.size in options.sizes]
    x = buffers(min(options.sizes))[0][0]
    for p in sorted({target.p for target in chosen}):
        check_scalar(x, p)
    with report.progress() as progress:
        task = progress.add_task("", total=len(chosen))
        results = targets.measure(
            chosen,
            options.threads,
            options.seconds,
            lambda description: progress.update(task, description=description, advance=1),
        )
        results = targets.measure_again(results, options.threads, 3 * options.seconds)
    report.print_results(results, options.threads)
    missed = sum(not result.reached for result in results)
    report.console.print(f"\n{missed} of {len(results)} missed" if missed else "\nAll reached")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
