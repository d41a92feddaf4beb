"""The SMTP server: smtpd(8), submission and submissions."""
