/** What actionlint does not ask of the workflows: pinned actions, few permissions, no expression in a script. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { workflows } from './support/workflows.ts';

const jobs = workflows.flatMap(({ name, workflow }) =>
  Object.entries(workflow.jobs).map(([id, job]) => ({ where: `${name}: ${id}`, job })),
);
const steps = jobs.flatMap(({ where, job }) => (job.steps ?? []).map((step) => ({ where, step })));

test('no workflow runs with rights on code from a fork', () => {
  assert.ok(workflows.length > 0);
  for (const { name, workflow } of workflows) {
    assert.ok(!('pull_request_target' in workflow.on || 'workflow_run' in workflow.on), name);
  }
});

test('each job names its permissions, and a workflow gives none to all jobs', () => {
  for (const { name, workflow } of workflows) assert.deepEqual(workflow.permissions, {}, name);
  for (const { where, job } of jobs) assert.equal(typeof job.permissions, 'object', where);
});

test('each job has a time limit, and a newer run waits for or ends an older one', () => {
  for (const { name, workflow } of workflows) assert.notEqual(workflow.concurrency, undefined, name);
  for (const { where, job } of jobs) {
    if (job.uses === undefined) assert.equal(typeof job['timeout-minutes'], 'number', where);
  }
});

test('each action is pinned to one commit, with its version in a comment', () => {
  const pins = new Map<string, string>();
  for (const { name, text } of workflows) {
    for (const [, reference = ''] of text.matchAll(/\buses: *(.*)$/gm)) {
      if (reference.startsWith('./')) continue;
      const [, action = '', pin = ''] =
        /^((?:actions|sigstore)\/[\w-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)$/.exec(reference) ?? [];
      assert.notEqual(action, '', `${name}: ${reference}`);
      assert.equal(pins.get(action) ?? pin, pin, `${action} has one version`);
      pins.set(action, pin);
    }
  }
  assert.ok(pins.size > 1);
});

test('no script contains an expression: values reach it as variables', () => {
  for (const { where, step } of steps) assert.ok(!step.run?.includes('${{'), `${where}: ${step.run}`);
});

test('no checkout leaves its token to later steps', () => {
  for (const { where, step } of steps) {
    if (step.uses?.startsWith('actions/checkout@') !== true) continue;
    assert.equal(step.with?.['persist-credentials'], false, where);
  }
});
