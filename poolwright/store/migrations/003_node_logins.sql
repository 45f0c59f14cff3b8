-- Who may log in to a node (JSON): users with hashed passwords and public keys, and which of it the machine has.

ALTER TABLE node ADD COLUMN logins TEXT NOT NULL DEFAULT '{}';
