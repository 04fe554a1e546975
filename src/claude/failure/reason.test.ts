import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callerReason } from './reason.ts';

test('a reason about the request is unchanged', () => {
  for (const said of [
    'messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes',
    'messages.0.content.0.image.source.media_type: Input should be image/png or image/jpeg',
    "tools.0.custom.input_schema: JSON schema is invalid: '#/definitions/a/b'",
    'messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_01AbCdEf.',
  ]) {
    assert.equal(callerReason(said), said);
  }
});

test('a reason loses names of the owner, files, logins and request ids', () => {
  const rows: [string, string][] = [
    ['messages.0: jane.doe@example.com asked', 'messages.0: [removed] asked'],
    ['image: /home/jane/.claude/pic.png is no image', 'image: [removed] is no image'],
    ['image: ~/Pictures/pic.png is no image', 'image: [removed] is no image'],
    ['image: C:\\Users\\jane\\pic.png is no image', 'image: [removed] is no image'],
    ['see https://gateway.example.com/v1/messages?key=1 now', 'see [removed] now'],
    ['from 10.1.2.3:8080 no', 'from [removed] no'],
    ['id 01234567-89ab-cdef-0123-456789abcdef no', 'id [removed] no'],
    ['key sk-ant-api03-AbCdEf is no', 'key [removed] is no'],
    ['request req_011CSHoEeqs5C35K2UUqR7Fy failed', 'request [removed] failed'],
  ];
  for (const [said, passed] of rows) assert.equal(callerReason(said), passed);
});

test('a sentence about the owner is dropped', () => {
  for (const said of [
    'organization Acme Ltd. may not use this',
    "workspace 'research' has no access",
    'Your account (Jane) is limited',
    'ask your admin Jane',
    'Invalid API key',
  ]) {
    assert.equal(callerReason(said), undefined, said);
  }
});

test('a page, an answer without a body and a blank text have no reason', () => {
  for (const said of ['<!DOCTYPE html><p>no', 'before <b>after', 'status code (no body)', ' \n ']) {
    assert.equal(callerReason(said), undefined, said);
  }
});

test('a reason is one line of at most 300 characters', () => {
  assert.equal(callerReason(`one\n\ttwo\u0000${'x'.repeat(9000)}`)?.length, 300);
  assert.match(callerReason('one\n\ttwo') ?? '', /^one two$/);
});
