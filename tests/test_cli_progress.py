"""Progress: how long a job takes is said early, then now and then, never too often."""

import io

import numpy as np
import pytest

from featad._progress import Level, fraction, listening, tracked
from featad.calibration import calibrate
from featad.cli.progress import EVERY, Progress, shown
from featad.detectors import Autoencoder
from featad.images import ImageReader
from featad.pipeline import make_pipeline


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def progress(clock, stream):
    return Progress("fitting", stream=stream, clock=clock)


def _run(progress, clock, seconds_a_fit, n_fits=6):
    """Go through fits of ten epochs, looking at the clock every half second."""
    for fit in range(n_fits):
        for epoch in range(10):
            progress.hear((Level("fit", fit, n_fits), Level("epoch", epoch, 10)))
            for _ in range(int(seconds_a_fit / 10 / 0.5)):
                progress.tick()
                clock.now += 0.5


def test_a_long_job_says_within_seconds_how_long_it_takes(progress, clock, stream):
    _run(progress, clock, seconds_a_fit=60)
    first = stream.getvalue().splitlines()[0]
    assert first == "fitting: fit 1 of 6, about 6 min left"


def test_there_is_a_line_every_half_minute(progress, clock, stream):
    _run(progress, clock, seconds_a_fit=60)
    lines = stream.getvalue().splitlines()
    assert len(lines) in (12, 13)  # 6 minutes, and the first one
    assert "fitting: fit 3 of 6, about 4 min left" in lines


def test_a_short_job_is_silent(progress, clock, stream):
    _run(progress, clock, seconds_a_fit=4)
    assert stream.getvalue() == ""


def test_the_time_of_one_loop_is_not_that_of_another(progress, clock, stream):
    for image in range(100):
        progress.hear((Level("image", image, 100),))
        clock.now += 0.5
    _run(progress, clock, seconds_a_fit=60)
    assert "fitting: fit 1 of 6, about 6 min left" in stream.getvalue()


def test_a_loop_that_runs_anew_is_timed_anew(progress, clock, stream):
    for _ in range(2):
        for image in range(200):
            progress.hear((Level("image", image, 200),))
            clock.now += 1
        clock.now += 1000
    progress.hear((Level("image", 0, 200),))
    clock.now += 10
    progress.hear((Level("image", 10, 200),))
    assert progress.text() == "fitting: image 11 of 200, about 3 min left"


def test_a_single_image_that_warms_up_is_no_job(progress, clock, stream):
    progress.hear((Level("image", 0, 1),))
    clock.now += 2 * EVERY
    progress.tick()
    assert stream.getvalue() == ""


def test_images_are_counted_where_the_job_counts_them(clock, stream):
    progress = Progress("scoring", 1000, stream=stream, clock=clock)
    clock.now += 30
    progress.advance(250)
    progress.tick()
    assert stream.getvalue() == "scoring: image 251 of 1,000, about 2 min left\n"


def test_a_terminal_has_one_bar(clock):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    progress = Progress("fitting", stream=stream, clock=clock)
    _run(progress, clock, seconds_a_fit=60, n_fits=2)
    progress.close()
    assert "fit 2 of 2, about 30 s left" in stream.getvalue()
    assert "\n" not in stream.getvalue()


def test_epochs_of_a_training_are_heard(images, capsys):
    heard = []
    system = make_pipeline(ImageReader(), Autoencoder(max_epochs=2, random_state=0))
    with listening(heard.append):
        system.fit(list(images))
    assert heard[1] == (Level("image", 1, 24),)
    inside = [levels for levels in heard if levels[0].what == "epoch"]
    assert inside[1] == (Level("epoch", 0, 2), Level("step", 0, 1))
    shares = [fraction(levels) for levels in inside]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_fits_of_a_calibration_are_heard(images):
    heard = []
    detector = Autoencoder(max_epochs=2, random_state=0)
    with listening(heard.append):
        calibrate(detector, cv=3, target_fpr=0.1).fit(images)
    fits = [levels[0].done for levels in heard]
    assert fits == sorted(fits)
    assert heard[0] == (Level("fit", 0, 4),)
    assert (Level("fit", 2, 4), Level("epoch", 1, 2), Level("step", 0, 1)) in heard
    assert fraction(heard[-1]) == 1


def test_what_is_heard_does_not_change_scores(images):
    def scores():
        detector = Autoencoder(max_epochs=2, random_state=0)
        system = calibrate(detector, cv=2, target_fpr=0.1)
        return system.fit(images).score_samples(images)

    alone = scores()
    with shown("fitting"):
        np.testing.assert_array_equal(scores(), alone)


def test_a_loop_that_is_left_early_is_forgotten():
    heard = []
    with listening(heard.append):
        for _ in tracked(range(3), "fit", 3):
            for _ in tracked(range(3), "epoch", 3):
                break
        for _ in tracked(range(2), "image", 2):
            pass
    assert (Level("image", 0, 2),) in heard


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_shows_the_rate_and_the_time_left(clock):
    progress = Progress("scoring", 600, stream=Terminal(), clock=clock)
    clock.now += 10
    progress.advance(120)
    assert progress.text(with_rate=True) == (
        "scoring: image 121 of 600, about 40 s left, 12 a second"
    )
    progress.close()


def test_slow_rounds_are_told_by_the_time_that_each_takes(progress, clock):
    for fold in range(2):
        progress.hear((Level("fold", fold, 3),))
        clock.now += 20
    assert progress.text(with_rate=True).endswith("about 1 min left, about 40 s each")
