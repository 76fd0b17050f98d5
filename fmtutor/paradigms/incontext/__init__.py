"""Systems that take the task from examples at test time: UniverSeg, Tyche, MultiverSeg."""
