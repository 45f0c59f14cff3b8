-- What a node was made from: with "latest" the version is chosen when the node is created.

ALTER TABLE node ADD COLUMN image TEXT NOT NULL DEFAULT '';
