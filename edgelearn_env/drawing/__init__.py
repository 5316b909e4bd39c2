"""Pictures of comparisons, training curves and studies; matplotlib loads when one is drawn."""
