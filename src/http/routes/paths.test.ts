import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canonicalPath, firstPart, lackingPath, nothingAt } from './paths.ts';
import { errorFormatOf, routes } from './table.ts';
import { anthropic } from '../../dialects/anthropic/anthropic.ts';
import { native } from '../../dialects/native.ts';
import { ollamaErrors } from '../../dialects/ollama/ollama.ts';
import { openai } from '../../dialects/openai/openai.ts';

const outside = new Set(['health', 'openapi.json']);

describe('canonicalPath', () => {
  test('every route of the table is found with each form of a base URL', () => {
    const below = routes.map(({ path }) => path).filter((path) => path.startsWith('/v1/'));
    assert.ok(below.length > 8);
    for (const path of below) {
      const bare = path.slice('/v1'.length);
      for (const sent of [
        path,
        bare,
        `/v1${path}`,
        `/v1/v1${path}`,
        `/${path}`,
        `/v1/${bare}`,
        `//v1/${path}`,
        `${path}/`,
        `${bare}//`,
      ])
        assert.equal(canonicalPath(sent, outside), path, sent);
    }
  });

  test('a path outside of /v1 stays as it is, and has no alias below /v1', () => {
    for (const path of ['/health', '/health/x', '/openapi.json']) {
      assert.equal(canonicalPath(path, outside), path);
      assert.equal(canonicalPath(`/v1${path}`, outside), `/v1${path}`);
    }
    assert.equal(firstPart('/openapi.json'), 'openapi.json');
  });

  test('a name that begins with v1 is no version', () => {
    assert.equal(canonicalPath('/v1beta/models', outside), '/v1/v1beta/models');
    assert.equal(canonicalPath('/v1/v1x', outside), '/v1/v1x');
    assert.equal(canonicalPath('/v1', outside), '/v1');
    assert.equal(canonicalPath('/', outside), '/v1/');
    assert.equal(canonicalPath('/v1/', outside), '/v1');
    assert.equal(canonicalPath('/health/', outside), '/health');
  });
});

describe('a path of another API', () => {
  const paths = [
    'embeddings',
    'completions',
    'batches',
    'files/file-1',
    'images/generations',
    'audio/speech',
  ];

  test('is named, with what to do', () => {
    for (const path of [...paths, 'moderations', 'messages/batches', 'responses/compact']) {
      const { code, message } = nothingAt(`/v1/${path}`);
      assert.equal(code, 'not_found');
      assert.match(message, new RegExp(`^This relay has no ${lackingPath(`/v1/${path}`)}\\. \\S.*\\.$`));
    }
    assert.match(nothingAt('/v1/embeddings2').message, /^This path does not exist\. GET \/openapi\.json/);
  });

  test('of Ollama is named as its client sent it, with its port, in the shape of its errors', () => {
    const path = canonicalPath('/api/chat', outside);
    assert.match(
      nothingAt(path).message,
      /^This relay has no \/api\/chat\. .+ key set <label> --ollama-port/,
    );
    assert.equal(errorFormatOf(path, undefined, new Headers()), ollamaErrors);
    assert.equal(errorFormatOf('/v1/api/hello', undefined, new Headers()), native);
  });

  const fromAnthropic = new Headers({ 'anthropic-version': '2023-06-01' });

  test('has the error format of its API, whatever the headers are', () => {
    for (const path of paths) {
      assert.equal(errorFormatOf(`/v1/${path}`, undefined, new Headers()), openai);
      assert.equal(errorFormatOf(`/v1/${path}`, undefined, fromAnthropic), anthropic);
    }
    assert.equal(errorFormatOf('/v1/messages/batches', undefined, new Headers()), anthropic);
    assert.equal(errorFormatOf('/v1/unknown', undefined, new Headers()), native);
  });

  test('is no route of the relay', () => {
    assert.deepEqual(
      routes.filter(({ path }) => lackingPath(path) !== undefined),
      [],
    );
  });
});
