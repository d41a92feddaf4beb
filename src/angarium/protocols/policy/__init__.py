"""The policy delegation protocol of SMTPD_POLICY_README: attributes out, one action back. No I/O."""
