"""The plots of an OptimizationReport, one a module."""
