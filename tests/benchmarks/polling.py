"""How often a run is polled, and how late the ends of its tasks are noticed.

Run it with ``python -m tests.benchmarks.polling``; it takes some thirty minutes. First come short
runs in real time on one local workspace, each started and awaited in turn by the flow of
``prefect-databricks`` and by the waiter of ``databricks-sdk``, both with their defaults, and by
this project. Then come runs of all lengths on a simulated clock, of this project's poller alone.
"""

from statistics import median, quantiles

from tests.benchmarks.real_runs import compare
from tests.benchmarks.simulated_runs import measure

REAL_LENGTHS = [5, 15, 30, 60]
LENGTHS = [5, 15, 30, 60, 120, 300, 420, 900, 1800, 3600]
# What comes before the notebooks: the part of a run in which its cluster starts, and a queue.
BEGINNINGS = {"": (0.3, 0), ", no start-up": (0.0, 0), ", queued first": (0.3, 300)}


def main() -> None:
    """Print requests and lags for each length of a job."""
    print("In real time, on one workspace. Requests and Prefect task runs are those of one run.")
    print("  length  waited for by         requests   Prefect task runs   lag: median   longest")
    for measured in compare(REAL_LENGTHS):
        print(
            f"{measured.length:6} s  {measured.contender:19} {measured.requests:10.0f}"
            f"{measured.prefect_task_runs:20.0f} {median(measured.lags):11.2f} s"
            f"{max(measured.lags):8.2f} s"
        )
    print("\nOn a simulated clock.")
    print("  length  history              polls (most)   lag: median   95th percentile   longest")
    for length in LENGTHS:
        for known in (False, True):
            for beginning, (start, queue) in BEGINNINGS.items():
                polls, lags = measure(length, known=known, start=start, queue=queue)
                kind = f"{'known' if known else 'new'}{beginning}"
                print(
                    f"{length:6} s  {kind:20} {median(polls):7.0f} ({max(polls)})"
                    f"{median(lags):15.2f} s {quantiles(lags, n=20)[-1]:14.2f} s"
                    f"{max(lags):9.2f} s"
                )


if __name__ == "__main__":
    main()
