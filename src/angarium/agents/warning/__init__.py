"""Warnings by mail about quotas."""
