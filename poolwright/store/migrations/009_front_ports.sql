-- Front-end ports of this host that lead to a node (JSON), written once with its row.

ALTER TABLE node ADD COLUMN front_ports TEXT NOT NULL DEFAULT '[]';
