"""Mock spectra per second.

    python benchmarks/simulate.py [--templates FILE] [--device cuda] [--threads 2]

FILE comes from ``simulate.save_templates``; without it the analytic templates are used, which
are quicker. Takes a minute on two cores. For each instrument: spectra per second in batches, best
and median of several, and the floor, measured in the same run: one normal deviate per pixel and
one copy each of truth, flux, error and mask, which no simulator can do without. The target is
2,000 DESI spectra per second on two cores.
"""

from __future__ import annotations

import argparse
import platform
import time

import torch

from spectok import simulate

NAMES = ("sdss", "boss", "desi", "desi-arms", "galah", "apogee", "apogee-visit")


def seconds(work, device, repeats):
    """Durations of some runs, after one that warms up."""
    found = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return sorted(found[1:])


def floor(n, length, generator):
    """What has to be done at least."""
    noise = torch.randn((n, length), generator=generator, device=generator.device)
    return [noise.clone() for _ in range(3)] + [noise > 0]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--templates")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, nargs="*", default=[64, 512])
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    templates = simulate.load_templates(options.templates) if options.templates else None
    where = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor()
    print(f"torch {torch.__version__}, {device} {where}, {options.threads} threads, "
          f"templates: {options.templates or 'analytic'}")  # fmt: skip
    print(f"{'instrument':13s} {'pixels':>6s} {'batch':>5s} {'best/s':>8s} {'median/s':>8s} "
          f"{'floor/s':>8s} {'of floor':>8s}")  # fmt: skip
    for name in NAMES:
        simulator = simulate.Simulator(name, templates=templates, device=device)
        length = simulator.instruments[0].wavelength.size
        for n in options.batch:
            generator = torch.Generator(device).manual_seed(1)
            took = seconds(lambda: simulator.draw(n, generator), device, options.repeats)  # noqa: B023
            least = seconds(lambda: floor(n, length, generator), device, options.repeats)  # noqa: B023
            best, median = n / took[0], n / took[len(took) // 2]
            bound = n / least[0]
            print(f"{name:13s} {length:6d} {n:5d} {best:8.0f} {median:8.0f} {bound:8.0f} "
                  f"{100 * best / bound:7.1f}%")  # fmt: skip


if __name__ == "__main__":
    main()
