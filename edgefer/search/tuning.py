"""Run the trials of a Director with Ray Tune, on this machine or on a cluster.

    with ray_session(None, resources):
        tune_trials(director, plan, resources, storage=folder / "ray")

Ray is quiet here: no dashboard, usage statistics, log lines, result folders or signal handlers, and no process of it
outlives the session. Ray and Optuna are imported in functions, because a board imports every module but has neither.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import signal
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefer.errors import EdgeferError, UsageError
from edgefer.search.candidate import Candidate, build_candidate
from edgefer.search.director import DONE, Director
from edgefer.search.trial import Task, TrialPlan, run_trial
from edgefer.signals import Terminated
from edgefer.workstation.training.settings_toml import from_toml

__all__ = ["Resources", "builder", "ray_session", "require_ray", "tune_trials"]

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0", "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
}  # fmt: skip
# The sockets of Ray are in its temporary folder, and the path of a socket has at most 107 bytes.
MAX_TEMPORARY_PATH = 30
FOLDER_PREFIX = "edgefer-ray-"
OBJECT_STORE_BYTES = 100 * 2**20
# A worker that is lost, by its machine or by a lack of memory, is replaced this often per trial.
MAX_RETRIES = 3


@dataclass(frozen=True)
class Resources:
    """Resources of a search.

    Attributes:
        cpus: cores that the search uses on this machine; a cluster has its own limits.
        cpus_per_trial: cores of one trial.
        gpus_per_trial: GPUs of one trial; a fraction shares one.
        memory_per_trial: bytes that one trial reserves.
        memory: bytes of this machine that all trials may reserve; None for what Ray finds available.
    """

    cpus: int
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0
    memory_per_trial: int = 2 * 2**30
    memory: int | None = None


def require_ray() -> None:
    """Check that Ray and Optuna are installed.

    Raises:
        EdgeferError: they are not.
    """
    try:
        import optuna  # noqa: F401
        import ray.tune  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        hint = "in a checkout of edgefer: pip install -e '.[workstation,search]'"
        what = "edgefer search needs Ray Tune, Optuna and scikit-learn"
        raise EdgeferError(what, why=str(error), hint=hint) from error


@contextlib.contextmanager
def ray_session(address: str | None, resources: Resources) -> Iterator[None]:
    """Start Ray on this machine, or connect to a cluster; end it, and its processes, with the block.

    Args:
        address: HOST:PORT of the head of a cluster, "auto" for the cluster of this machine, or None to start one.
        resources: resources of the search.

    Raises:
        UsageError: no cluster answers at the address, Ray does not start on this machine, or no machine has the
            resources of one trial.
    """
    added = {name: value for name, value in QUIET.items() if name not in os.environ}
    os.environ.update(added)
    import ray

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    is_main = threading.current_thread() is threading.main_thread()
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    folder = None if address else _temporary_folder()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if folder is None:
        options["address"] = address
    else:
        options |= {
            "include_dashboard": False, "num_cpus": resources.cpus, "_temp_dir": str(folder),
            "object_store_memory": OBJECT_STORE_BYTES, "_memory": resources.memory,
        }  # fmt: skip
    try:
        with _quiet():
            try:
                ray.init(**options)
            except Exception as error:  # Ray raises a bare Exception if a process of it starts too slowly
                why = str(error).strip().partition("\n")[0]
                if address:
                    what, hint = f"no Ray cluster at {address}", "ray start --head   (on the head)"
                else:
                    what, hint = "Ray does not start on this machine", "ray start --head, then --address auto"
                raise UsageError(what, why=why, hint=hint) from error
            finally:
                # Ray's own handlers would end the process without the cleanup of the command.
                for number, handler in handlers.items() if is_main else ():
                    signal.signal(number, handler)
        _check_resources(ray, resources)
        yield
    finally:
        with _quiet():
            ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        for name in added:
            os.environ.pop(name, None)


def _temporary_folder() -> Path:
    """Create the folder of a session, and remove those of searches that were killed."""
    base = Path("/tmp" if len(tempfile.gettempdir()) > MAX_TEMPORARY_PATH else tempfile.gettempdir())
    for leftover in base.glob(f"{FOLDER_PREFIX}*-*"):
        process = leftover.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if process.isdecimal() and not Path("/proc", process).exists():
            shutil.rmtree(leftover, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=base))


@contextlib.contextmanager
def _kept_signals() -> Iterator[None]:
    """Raise Terminated for SIGTERM and SIGHUP, where Ray replaces the exception of a handler by KeyboardInterrupt."""
    received: list[int] = []
    handlers: dict[int, Any] = {}

    def note(number: int, frame: Any) -> None:
        received.append(number)
        handlers[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        numbers = (signal.SIGTERM, signal.SIGHUP)
        handlers = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
        for number in handlers:
            signal.signal(number, note)
    try:
        yield
    except KeyboardInterrupt as error:
        if received and not isinstance(error, Terminated):
            raise Terminated(received[0]) from error
        raise
    finally:
        for number, handler in handlers.items():
            # After a signal, its handler may have made the process ignore further ones.
            if signal.getsignal(number) is note:
                signal.signal(number, handler)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Discard what Ray prints to stdout and warns about."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _check_resources(ray: Any, resources: Resources) -> None:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    needed = {"CPU": resources.cpus_per_trial, "GPU": resources.gpus_per_trial, "memory": resources.memory_per_trial}
    if any(all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in nodes):
        return
    options = {"CPU": "--cpus-per-trial", "GPU": "--gpus-per-trial", "memory": "--memory-per-trial"}
    for name, amount in needed.items():
        largest = max((node.get(name, 0) for node in nodes), default=0)
        if largest < amount:
            scale, unit = (2**30, " GiB") if name == "memory" else (1, f" {name}s")
            why = f"the largest one has {largest / scale:.3g}{unit}, a trial needs {amount / scale:.3g}"
            raise UsageError("no machine for a trial", why=why, hint=f"a smaller {options[name]}")
    raise UsageError("no machine for a trial", why="none has the CPUs, GPUs and memory of one", hint="fewer of them")


def builder(labels: tuple[str, ...], variables: Mapping[str, str]) -> Callable[[str], Future[Candidate]]:
    """Start a worker that builds candidates, and return a function from settings as TOML to the future candidate.

    The worker shares the cores of the trials, keeps TensorFlow in memory, and is replaced if its machine is lost.
    """
    import ray

    class Builder:
        """A builder of candidates, one at a time."""

        def build(self, settings: str) -> Candidate | EdgeferError:
            """Build a candidate; an error is returned, because Ray would wrap an exception in one of its own."""
            os.environ.update(variables)
            try:
                return build_candidate(from_toml(settings), labels=labels)
            except EdgeferError as error:
                return error

    worker: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Builder)
    actor = worker.remote()

    def start(settings: str) -> Future[Candidate]:
        built: Future[Candidate] = Future()

        def done(future: Future[Any]) -> None:
            try:
                reply = future.result()
            except Exception as error:  # noqa: BLE001 - whatever Ray raises becomes an error of the search
                reply = EdgeferError("the worker that builds networks has failed", why=str(error).strip()[:300])
            built.set_exception(reply) if isinstance(reply, EdgeferError) else built.set_result(reply)

        actor.build.remote(settings).future().add_done_callback(done)
        return built

    return start


def tune_trials(director: Director, plan: TrialPlan, resources: Resources, *, storage: Path) -> None:
    """Run the trials of ``director`` until it has no more; Ray has been started.

    Args:
        director: decides which trials run, and records their results.
        plan: facts that all trials share.
        resources: resources of each trial.
        storage: folder that all machines reach, for the files of Ray; it is removed.

    Raises:
        EdgeferError: the judge cannot measure, no network can be trained, or Ray Tune failed.
    """
    from ray import tune

    bridge = _Bridge(director)
    needed = {"cpu": resources.cpus_per_trial, "memory": resources.memory_per_trial}
    if resources.gpus_per_trial:
        needed["gpu"] = resources.gpus_per_trial
    trainable = tune.with_resources(tune.with_parameters(_train, plan=plan), needed)
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=_searcher(bridge), scheduler=_scheduler(bridge), num_samples=-1, reuse_actors=True
        ),
        run_config=tune.RunConfig(
            name="tune", storage_path=str(storage), verbose=0, callbacks=[_callback(bridge)],
            failure_config=tune.FailureConfig(max_failures=MAX_RETRIES),
        ),
    )  # fmt: skip
    try:
        with _kept_signals(), _quiet():
            tuner.fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)
    if bridge.error is not None:
        raise bridge.error


def _train(config: dict[str, Any], plan: TrialPlan) -> None:
    """Run one trial in a worker of Ray."""
    from ray import tune

    task = Task(config["number"], config["settings"], config["teacher"])

    def report(epoch: int, accuracy: float) -> None:
        tune.report({"epoch": epoch, "accuracy": accuracy})

    result = run_trial(plan, task, report=report)
    tune.report({"outcome": result})


class _Bridge:
    """Numbers of the trials by the ID that Ray Tune gives them.

    Attributes:
        error: error that ended the search.
        stopped: numbers of the trials that the scheduler has stopped.
    """

    def __init__(self, director: Director) -> None:
        self.director = director
        self.error: EdgeferError | None = None
        self.stopped: set[int] = set()
        self._numbers: dict[str, int] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as an empty object: Ray Tune writes copies for a restart of its own, which the journal replaces."""
        return object, ()

    def suggest(self, trial_id: str) -> dict[str, Any] | int | None:
        """Return the configuration of the next trial, DONE, or None if it is not known yet."""
        if self.error is not None:
            return DONE
        try:
            number = self.director.next_trial()
        except EdgeferError as error:
            self.error = error
            return DONE
        if number is None or number == DONE:
            return number
        self._numbers[trial_id] = number
        settings, teacher = self.director.settings_toml(number), self.director.teacher(number)
        return {"number": number, "settings": settings, "teacher": teacher}

    def number(self, trial_id: str) -> int:
        """Return the number of a trial."""
        return self._numbers[trial_id]


def _searcher(bridge: _Bridge) -> Any:
    from ray.tune.search import Searcher

    class DirectorSearch(Searcher):
        """A searcher that suggests the trials of the director; the callback gives it the results."""

        def suggest(self, trial_id: str) -> Any:
            suggestion = bridge.suggest(trial_id)
            return Searcher.FINISHED if suggestion == DONE else suggestion

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            """Do nothing."""

        def save(self, checkpoint_path: str) -> None:
            """Write an empty file; the journal is the state."""
            Path(checkpoint_path).touch()

        def restore(self, checkpoint_path: str) -> None:
            """Do nothing."""

    return DirectorSearch()


def _callback(bridge: _Bridge) -> Any:
    from ray.tune import Callback

    class Recorder(Callback):
        """A recorder of the results of the trials."""

        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
            number = bridge.number(trial.trial_id)
            if "outcome" in result:
                bridge.director.finish(number, result["outcome"])

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            number = bridge.number(trial.trial_id)
            if number in bridge.stopped:
                bridge.director.stop(number)

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            bridge.director.fail(bridge.number(trial.trial_id), _last_line(trial))

    return Recorder()


def _last_line(trial: Any) -> str:
    """Return the last line of the error of a trial whose worker was lost too often."""
    try:
        lines = [line.strip() for line in Path(trial.error_file).read_text(errors="replace").splitlines()]
    except (OSError, TypeError):
        lines = []
    detail = next((line for line in reversed(lines) if line), "no message")
    return f"its worker ended {MAX_RETRIES + 1} times: {detail[:200]}"


def _scheduler(bridge: _Bridge) -> Any:
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler

    class DirectorScheduler(FIFOScheduler):
        """A scheduler that records the accuracy after each epoch, and stops the trials that the director drops."""

        def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
            number = bridge.number(trial.trial_id)
            if "epoch" not in result or bridge.director.epoch(number, result["epoch"], accuracy=result["accuracy"]):
                return str(TrialScheduler.CONTINUE)
            bridge.stopped.add(number)
            return str(TrialScheduler.STOP)

    scheduler: Any = DirectorScheduler
    return scheduler()
