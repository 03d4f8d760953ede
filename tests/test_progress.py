import sys

import pytest

from edgefer.progress import progress_bar, progress_bars


def test_plain_lines_show_results_and_the_end(capsys):
    with progress_bar("training") as progress:
        for epoch in range(3):
            for batch in range(50):
                progress(epoch, 3, f"epoch {epoch + 1}, batch {batch}")
            progress(epoch + 1, 3, f"loss {3 - epoch}")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "training: 0/3 epoch 1, batch 0"
    assert [line for line in lines if "loss" in line] == [f"training: {n}/3 loss {4 - n}" for n in (1, 2, 3)]
    assert len(lines) < 12


def test_updates_without_a_new_note_are_reported_at_intervals(capsys):
    with progress_bar("reading") as progress:
        for row in range(10_000):
            progress(row + 1, 10_000, "rows")
    assert len(capsys.readouterr().err.splitlines()) <= 4


@pytest.mark.parametrize(("terminal", "line"), [("dumb", "reading: 1/1 rows"), ("xterm", "1/1")])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch, capsys, terminal, line):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", terminal)
    with progress_bar("reading") as progress:
        progress(1, 1, "rows")
    assert line in capsys.readouterr().err


def test_data_on_stdout_passes_a_bar_on_the_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("reading") as progress:
        progress(1, 2, "rows")
        sys.stdout.write("data\n")
    output = capsys.readouterr()
    assert output.out == "data\n"
    assert "data" not in output.err


def test_without_stderr_nothing_is_reported(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar("reading") as progress:
        progress(1, 1, "rows")


@pytest.mark.parametrize(("terminal", "line"), [("dumb", "pi5: 1/2 warm-up"), ("xterm", "1/2")])
def test_parallel_tasks_have_a_line_each(monkeypatch, capsys, terminal, line):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", terminal)
    with progress_bars(["pi4", "pi5"]) as progress_of:
        progress_of("pi5")(1, 2, "warm-up")
        progress_of("pi4")(3, 3, "done")
    err = capsys.readouterr().err
    assert line in err
    assert "3/3" in err


@pytest.mark.parametrize("terminal", ["dumb", "xterm"])
def test_titles_and_notes_are_shown_without_markup_and_control_characters(monkeypatch, capsys, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal != "dumb")
    monkeypatch.setenv("TERM", terminal)
    with progress_bar("reading [red]a[/red]\x1b]0;x\x07") as progress:
        progress(1, 1, "row \u202e[bold]\nx")
    err = capsys.readouterr().err
    assert "reading [red]a[/red]\\x1b]0;x\\x07" in err
    assert "row \\u202e[bold]\\nx" in err
    assert "\x1b]0;" not in err
