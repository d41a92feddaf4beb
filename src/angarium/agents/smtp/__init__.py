"""smtp(8): delivers to other hosts over SMTP."""
