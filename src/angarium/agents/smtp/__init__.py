"""The SMTP client: smtp(8)."""
