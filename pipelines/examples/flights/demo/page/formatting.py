"""Numbers and results of a run in words: the headline, counts, durations."""

from tfx_loop.pipelines.examples.flights.demo.page.report import RunReport


def headline(report: RunReport) -> str:
    """Returns the result of the run in one sentence, good or bad."""
    trained = report.trainings.get("loop")
    always = report.trainings.get("every_window")
    share = report.gain_recovered.get("log_loss")
    effort = f"{count(trained, 'training')} instead of {always}"
    if trained is None or always is None:
        return "This run did not count its trainings, so there is no result to state."
    if share is None:
        return (
            "Retraining every window gained nothing here over the first model; "
            f"the loop took {effort}."
        )
    if share < 0:
        return f"The loop lost: its models did worse than the first one left alone, after {effort}."
    if trained == 0:
        return f"The loop never retrained, where retraining every window took {always} trainings."
    return (
        f"The loop recovered {share:.0%} of the gain of retraining every window, with {effort}."
    ).replace("%", "\u202f%")


def count(number: int | None, noun: str) -> str:
    """Returns "1 training", "4 trainings"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Returns "8 min 05 s", "42 s" or "0.4 s"."""
    if seconds >= 59.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
