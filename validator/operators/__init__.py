"""What operators see and do: cycles as timelines, charts of points, and the audit of actions."""
