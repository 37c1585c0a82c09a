"""Promotion: plan, build with dbt, judge, publish, record; and the marts that it publishes to."""
