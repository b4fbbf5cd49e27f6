-- A database of jobs as the release before Alembic left it when it was killed (sqlite3's dump): one job finished, one failed,
-- one running, one waiting; DBOS's own tables beside them.
BEGIN TRANSACTION;
CREATE TABLE application_versions (
    version_id TEXT NOT NULL PRIMARY KEY,
    version_name TEXT NOT NULL UNIQUE,
    version_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL);
INSERT INTO "application_versions" VALUES('3a375f43-4e2c-46bc-be48-b7a7f0646957','1',1795716860000,1795716860000,'cifs-lab');
CREATE TABLE cifs_events (
	job VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	event VARCHAR(16) NOT NULL, 
	data JSON NOT NULL, 
	PRIMARY KEY (job, number), 
	FOREIGN KEY(job) REFERENCES cifs_jobs (id)
);
INSERT INTO "cifs_events" VALUES('3e9f35b3ede4cfa6',1,1.79571685679898858075e+09,'state','{"state": "waiting", "attempt": 1}');
INSERT INTO "cifs_events" VALUES('3e9f35b3ede4cfa6',2,1.79571686209092450147e+09,'state','{"state": "running", "attempt": 1, "worker": "vm-0"}');
INSERT INTO "cifs_events" VALUES('3e9f35b3ede4cfa6',3,1.795716864335612297e+09,'progress','{"doing": "counting", "done": 3, "total": 3, "metrics": {"half": 1.5}}');
INSERT INTO "cifs_events" VALUES('3e9f35b3ede4cfa6',4,1.79571686457523727424e+09,'state','{"state": "finished", "attempt": 1}');
INSERT INTO "cifs_events" VALUES('1aa008e55049f38d',1,1.79571686497855734828e+09,'state','{"state": "waiting", "attempt": 1}');
INSERT INTO "cifs_events" VALUES('1aa008e55049f38d',2,1.79571686523148179052e+09,'state','{"state": "running", "attempt": 1, "worker": "vm-0"}');
INSERT INTO "cifs_events" VALUES('1aa008e55049f38d',3,1.79571686694483733173e+09,'progress','{"doing": "refuse", "done": 0, "total": null, "metrics": {}}');
INSERT INTO "cifs_events" VALUES('1aa008e55049f38d',4,1.79571686711467766763e+09,'state','{"state": "failed", "attempt": 1, "error": "the checkpoint is not there"}');
INSERT INTO "cifs_events" VALUES('b4493b2f0c9381ef',1,1.79571686733122348788e+09,'state','{"state": "waiting", "attempt": 1}');
INSERT INTO "cifs_events" VALUES('b4493b2f0c9381ef',2,1.79571686786819100381e+09,'state','{"state": "running", "attempt": 1, "worker": "vm-0"}');
INSERT INTO "cifs_events" VALUES('b4493b2f0c9381ef',3,1.79571686945129489892e+09,'progress','{"doing": "counting", "done": 2, "total": 20, "metrics": {"half": 1.0}}');
INSERT INTO "cifs_events" VALUES('98ca5db642454c51',1,1.7957168696961476802e+09,'state','{"state": "waiting", "attempt": 1}');
CREATE TABLE cifs_jobs (
	id VARCHAR(32) NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	model VARCHAR(255), 
	request JSON NOT NULL, 
	notes JSON NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempt INTEGER NOT NULL, 
	taken INTEGER NOT NULL, 
	events INTEGER NOT NULL, 
	worker VARCHAR(255), 
	created FLOAT NOT NULL, 
	started FLOAT, 
	ended FLOAT, 
	progress JSON, 
	result JSON, 
	error TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "cifs_jobs" VALUES('3e9f35b3ede4cfa6','count','done','{"model": "done", "to": 3, "pause": 0.05}','["it takes a while"]','finished',1,0,4,'vm-0',1.79571685674409914018e+09,1.79571686208866381643e+09,1.79571686457348251341e+09,'{"doing": "counting", "done": 3, "total": 3, "metrics": {"half": 1.5}}','{"counted": 3, "first": 0}',NULL);
INSERT INTO "cifs_jobs" VALUES('1aa008e55049f38d','misbehave',NULL,'{"model": null, "how": "refuse"}','[]','failed',1,0,4,'vm-0',1.79571686497771143909e+09,1.79571686523070478437e+09,1.79571686711363935466e+09,'{"doing": "refuse", "done": 0, "total": null, "metrics": {}}',NULL,'the checkpoint is not there');
INSERT INTO "cifs_jobs" VALUES('b4493b2f0c9381ef','count','running','{"model": "running", "to": 20, "pause": 0.05}','["it takes a while"]','running',1,0,3,'vm-0',1.79571686733058810238e+09,1.79571686786757111556e+09,NULL,'{"doing": "counting", "done": 2, "total": 20, "metrics": {"half": 1.0}}',NULL,NULL);
INSERT INTO "cifs_jobs" VALUES('98ca5db642454c51','count','waiting','{"model": "waiting", "to": 3, "pause": 0.05}','["it takes a while"]','waiting',1,0,1,NULL,1.79571686969547748566e+09,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE cifs_schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "cifs_schema" VALUES(1);
CREATE TABLE cifs_workers (
	name VARCHAR(255) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	beat FLOAT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "cifs_workers" VALUES('vm-0','vm',1.79571686831172943115e+09);
CREATE TABLE dbos_migrations (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO "dbos_migrations" VALUES(125);
CREATE TABLE notifications (
    message_uuid TEXT NOT NULL DEFAULT (hex(randomblob(16))) PRIMARY KEY,
    destination_uuid TEXT NOT NULL,
    topic TEXT,
    message TEXT NOT NULL,
    created_at_epoch_ms INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000), "serialization" TEXT DEFAULT NULL, "consumed" BOOLEAN NOT NULL DEFAULT FALSE, consumed_by_function_id INTEGER,
    FOREIGN KEY (destination_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE "operation_outputs" (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    function_name TEXT NOT NULL DEFAULT '',
    output TEXT,
    error TEXT,
    child_workflow_id TEXT,
    started_at_epoch_ms INTEGER,
    completed_at_epoch_ms INTEGER,
    serialization TEXT,
    application_name TEXT DEFAULT NULL,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    PRIMARY KEY (workflow_uuid, function_id)
);
CREATE TABLE queues (
    queue_id TEXT PRIMARY KEY DEFAULT (hex(randomblob(16))),
    name TEXT NOT NULL UNIQUE,
    concurrency INTEGER,
    worker_concurrency INTEGER,
    rate_limit_max INTEGER,
    rate_limit_period_sec REAL,
    priority_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    partition_queue BOOLEAN NOT NULL DEFAULT FALSE,
    polling_interval_sec REAL NOT NULL DEFAULT 1.0,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL, "partition_concurrency" INTEGER DEFAULT NULL, "partition_worker_concurrency" INTEGER DEFAULT NULL, "partition_rate_limit_max" INTEGER DEFAULT NULL, "partition_rate_limit_period_sec" REAL DEFAULT NULL);
INSERT INTO "queues" VALUES('2FC2F3CFD3087CC0BBF3487155C49E8B','jobs',NULL,1,NULL,NULL,1,0,0.5,1795716860000,1795716860339,'cifs-lab',NULL,NULL,NULL,NULL);
CREATE TABLE streams (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    "offset" INTEGER NOT NULL, function_id INTEGER NOT NULL DEFAULT 0, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key, "offset"),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events_history (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, function_id, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid)
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_input (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    inputs TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_input" VALUES('3e9f35b3ede4cfa6.1','{"args":["3e9f35b3ede4cfa6",1],"kwargs":{}}',1795716856000);
INSERT INTO "workflow_input" VALUES('1aa008e55049f38d.1','{"args":["1aa008e55049f38d",1],"kwargs":{}}',1795716864000);
INSERT INTO "workflow_input" VALUES('b4493b2f0c9381ef.1','{"args":["b4493b2f0c9381ef",1],"kwargs":{}}',1795716867000);
INSERT INTO "workflow_input" VALUES('98ca5db642454c51.1','{"args":["98ca5db642454c51",1],"kwargs":{}}',1795716869000);
CREATE TABLE workflow_output (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    output TEXT,
    error TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_output" VALUES('3e9f35b3ede4cfa6.1','null',NULL,1795716864000);
INSERT INTO "workflow_output" VALUES('1aa008e55049f38d.1','null',NULL,1795716867000);
CREATE TABLE workflow_schedules (
    schedule_id TEXT PRIMARY KEY,
    schedule_name TEXT NOT NULL UNIQUE,
    workflow_name TEXT NOT NULL,
    workflow_class_name TEXT,
    schedule TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACTIVE',
    context TEXT NOT NULL
, "last_fired_at" TEXT DEFAULT NULL, "automatic_backfill" BOOLEAN NOT NULL DEFAULT FALSE, "cron_timezone" TEXT DEFAULT NULL, "queue_name" TEXT DEFAULT NULL, "application_name" TEXT DEFAULT NULL);
CREATE TABLE workflow_status (
    workflow_uuid TEXT PRIMARY KEY,
    status TEXT,
    name TEXT,
    authenticated_user TEXT,
    assumed_role TEXT,
    authenticated_roles TEXT,
    request TEXT,
    output TEXT,
    error TEXT,
    executor_id TEXT,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    application_version TEXT,
    application_id TEXT,
    class_name TEXT DEFAULT NULL,
    config_name TEXT DEFAULT NULL,
    recovery_attempts INTEGER DEFAULT 0,
    queue_name TEXT,
    workflow_timeout_ms INTEGER,
    workflow_deadline_epoch_ms INTEGER,
    inputs TEXT,
    started_at_epoch_ms INTEGER,
    deduplication_id TEXT,
    priority INTEGER NOT NULL DEFAULT 0
, queue_partition_key TEXT, forked_from TEXT, "owner_xid" TEXT DEFAULT NULL, "parent_workflow_id" TEXT DEFAULT NULL, "serialization" TEXT DEFAULT NULL, "delay_until_epoch_ms" BIGINT DEFAULT NULL, "was_forked_from" BOOLEAN NOT NULL DEFAULT FALSE, "rate_limited" BOOLEAN NOT NULL DEFAULT FALSE, "completed_at" BIGINT, "attributes" TEXT, "schedule_name" TEXT, "debounce_deadline_epoch_ms" BIGINT DEFAULT NULL, "is_debounced" BOOLEAN NOT NULL DEFAULT FALSE, "application_name" TEXT DEFAULT NULL, "creator_xid" TEXT DEFAULT NULL);
INSERT INTO "workflow_status" VALUES('3e9f35b3ede4cfa6.1','SUCCESS','attempt',NULL,NULL,NULL,NULL,NULL,NULL,'vm-0',1795716856000,1795716864000,'1',NULL,NULL,NULL,1,'jobs',NULL,NULL,NULL,1795716861000,NULL,0,NULL,NULL,NULL,NULL,'cifs_json',NULL,0,0,1795716864000,'null',NULL,NULL,0,'cifs-lab','c0bb9f8c-be38-4392-9fa0-f4ad49c21ace');
INSERT INTO "workflow_status" VALUES('1aa008e55049f38d.1','SUCCESS','attempt',NULL,NULL,NULL,NULL,NULL,NULL,'vm-0',1795716864000,1795716867000,'1',NULL,NULL,NULL,1,'jobs',NULL,NULL,NULL,1795716865000,NULL,0,NULL,NULL,NULL,NULL,'cifs_json',NULL,0,0,1795716867000,'null',NULL,NULL,0,'cifs-lab','a49ccfc7-78cc-4ab0-b306-0a71ea71b539');
INSERT INTO "workflow_status" VALUES('b4493b2f0c9381ef.1','PENDING','attempt',NULL,NULL,NULL,NULL,NULL,NULL,'vm-0',1795716867000,1795716867000,'1',NULL,NULL,NULL,1,'jobs',NULL,NULL,NULL,1795716867000,NULL,0,NULL,NULL,'668dc1ce-dc0e-4e38-8d31-67247afb1493',NULL,'cifs_json',NULL,0,0,NULL,'null',NULL,NULL,0,'cifs-lab','99375d9c-60a3-45a3-8113-99a8679413f8');
INSERT INTO "workflow_status" VALUES('98ca5db642454c51.1','ENQUEUED','attempt',NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795716869000,1795716869000,'1',NULL,NULL,NULL,0,'jobs',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,'cifs_json',NULL,0,0,NULL,'null',NULL,NULL,0,'cifs-lab','eb20dce3-d4f6-4a01-862f-f3695499deb1');
CREATE INDEX ix_cifs_jobs_model ON cifs_jobs (model);
CREATE INDEX ix_cifs_jobs_created ON cifs_jobs (created);
CREATE INDEX ix_cifs_jobs_kind ON cifs_jobs (kind);
CREATE INDEX ix_cifs_jobs_state ON cifs_jobs (state);
CREATE INDEX workflow_status_created_at_index ON workflow_status (created_at);
CREATE INDEX idx_workflow_topic ON notifications (destination_uuid, topic);
CREATE INDEX "idx_workflow_status_delayed" ON "workflow_status" ("delay_until_epoch_ms") WHERE status = 'DELAYED';
CREATE INDEX "idx_workflow_status_forked_from" ON "workflow_status" ("forked_from") WHERE "forked_from" IS NOT NULL;
CREATE INDEX "idx_workflow_status_parent_workflow_id" ON "workflow_status" ("parent_workflow_id") WHERE "parent_workflow_id" IS NOT NULL;
CREATE UNIQUE INDEX "uq_workflow_status_dedup_id" ON "workflow_status" ("queue_name", "deduplication_id") WHERE "deduplication_id" IS NOT NULL;
CREATE INDEX "idx_workflow_status_pending" ON "workflow_status" ("created_at") WHERE "status" = 'PENDING';
CREATE INDEX "idx_workflow_status_failed" ON "workflow_status" ("status", "created_at") WHERE "status" IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
CREATE INDEX "idx_workflow_status_rate_limited" ON "workflow_status" ("queue_name", "started_at_epoch_ms") WHERE "rate_limited" = TRUE;
CREATE INDEX "idx_workflow_status_completed_at" ON "workflow_status" ("completed_at") WHERE "completed_at" IS NOT NULL;
CREATE INDEX "idx_workflow_status_started_at" ON "workflow_status" ("started_at_epoch_ms") WHERE "started_at_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_workflow_status_schedule_name" ON "workflow_status" ("schedule_name") WHERE "schedule_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_owner_version"
    ON application_versions ("application_name", "version_name")
    WHERE "application_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_unclaimed_version"
    ON application_versions ("version_name")
    WHERE "application_name" IS NULL;
CREATE INDEX idx_workflow_input_retention
    ON workflow_input (retention_timestamp);
CREATE INDEX idx_workflow_output_retention
    ON workflow_output (retention_timestamp);
CREATE INDEX idx_operation_outputs_retention
    ON operation_outputs (retention_timestamp);
CREATE INDEX "idx_workflow_status_in_flight_v2" ON "workflow_status" ("queue_name", "status", "priority", "created_at", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING');
CREATE INDEX "idx_workflow_status_partition_dequeue_v3" ON "workflow_status" ("queue_name", "status", "queue_partition_key", "priority", "created_at", "workflow_uuid", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING') AND "queue_partition_key" IS NOT NULL;
CREATE INDEX "idx_operation_outputs_completed_at_function_name_v2" ON "operation_outputs" ("completed_at_epoch_ms", "function_name", "application_name");
CREATE INDEX "idx_workflow_status_deadline" ON "workflow_status" ("workflow_deadline_epoch_ms") WHERE "status" IN ('ENQUEUED', 'PENDING', 'DELAYED') AND "workflow_deadline_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_application_versions_timestamp" ON "application_versions" ("version_timestamp" DESC);
CREATE INDEX "idx_application_versions_owner_timestamp" ON "application_versions" ("application_name", "version_timestamp" DESC);
COMMIT;
