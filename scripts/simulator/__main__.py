"""`python -m scripts.simulator --port 0 --seed 7 --latency-ms 40`; `--help` lists every setting."""

import sys

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from scripts.simulator.control import complaints
from scripts.simulator.server import run
from scripts.simulator.settings import SimulatorSettings


def main() -> int:
    try:
        run(CliApp.run(SimulatorSettings))
    except ValidationError as error:
        print(f"provider simulator: {'; '.join(complaints(error))}", file=sys.stderr)
        return 2
    except SettingsError as error:
        print(f"provider simulator: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"provider simulator: cannot start: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
