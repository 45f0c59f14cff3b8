-- Certificates of accounts, and which of them a node has in its present life (JSON).

CREATE TABLE certificate (
    account TEXT NOT NULL,
    thumbprint TEXT NOT NULL,
    format TEXT NOT NULL,
    public TEXT NOT NULL,
    state TEXT NOT NULL,
    state_at INTEGER NOT NULL,
    data TEXT NOT NULL,
    password TEXT,
    previous_state TEXT,
    previous_at INTEGER,
    failure TEXT,
    PRIMARY KEY (account, thumbprint)
) STRICT, WITHOUT ROWID;

CREATE INDEX certificate_deleting ON certificate (state) WHERE state = 'deleting';

ALTER TABLE node ADD COLUMN certificates TEXT NOT NULL DEFAULT '[]';

CREATE INDEX node_certificates ON node (account) WHERE certificates != '[]';
