"""The load and the stop-watch, in a process of their own: asks by the timetable and hears the answers."""
