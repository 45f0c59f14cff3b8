-- What ran on a node is found by its machine, for the node's recent tasks.
CREATE INDEX subtask_of_machine ON subtask (machine, started_at);
