-- How many facts of each kind were ever recorded: what retention takes stays counted.
CREATE TABLE fact_total (
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (account, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO fact_total (account, kind, count) SELECT account, kind, count(*) FROM fact GROUP BY account, kind;
