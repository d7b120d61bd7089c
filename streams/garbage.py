"""When Python looks for cycles among objects: after every 700 that were made and not freed, and now and then among all
that there are. A stage that holds a batch, or a day of request ids, has hundreds of thousands, and hardly a cycle.
"""

import gc


def keep_garbage_young(objects: int = 50_000, *, rounds: int = 20) -> None:
    """Looks from now on. What there is now, all that was imported, is never looked at again; what is made, after so
    many more than were freed; what outlived that, after so many rounds; and what outlived those, after as many of
    theirs. Call it once everything has been set up.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(objects, rounds, rounds)
    gc.enable()


def leave_garbage() -> None:
    """Until everything is set up: nothing that is imported is garbage, and looking for it takes a tenth of the time."""
    gc.disable()
