"""`python -m streams.watch`: one worker of watch, configured by its environment."""

from streams.settings import KafkaSettings, ObserveSettings, WorkerSettings
from streams.watch.run import run_watch
from streams.watch.settings import WatchSettings

if __name__ == "__main__":
    run_watch(KafkaSettings(), WatchSettings(), WorkerSettings(), ObserveSettings())
