"""Jobs of users: submitted, delivered to a validator, their statuses stored and shown."""
