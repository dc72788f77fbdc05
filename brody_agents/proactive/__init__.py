"""Work that is done before anyone asks: playbooks, watchers and schedules."""
