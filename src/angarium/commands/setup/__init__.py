"""What ``angarium init`` does: a plan of new files, a certificate, DNS records, the installation on a Debian system."""
