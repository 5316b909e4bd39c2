"""The layer-finetuning study: schemes under limits of memory, FLOPs and upload, for equal and unequal devices."""
