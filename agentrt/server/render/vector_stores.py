"""Rows of vector stores, and what a search has found → the objects of the API."""

from __future__ import annotations

from typing import cast

from agentrt.runtime.vector_stores.ingest.queue import chunking_of
from agentrt.runtime.vector_stores.search import JudgedCandidate, StoreAnswer
from agentrt.runtime.vector_stores.watching.state import FolderState
from agentrt.store.vector_store_batches import VectorStoreBatch
from agentrt.store.vector_store_files import FileCounts, VectorStoreFile
from agentrt.store.vector_stores import VectorStore
from agentrt.wire.vector_stores import (
    AttributeValue,
    ExpirationObject,
    FileCountsObject,
    SearchCandidate,
    SearchResultObject,
    SearchResultsPage,
    StoreFileError,
    StoreFileStatus,
    StoreFoldersObject,
    VectorStoreFileBatchObject,
    VectorStoreFileObject,
    VectorStoreObject,
)


def render_vector_store(store: VectorStore, counts: FileCounts, *, now: float) -> VectorStoreObject:
    expires_after: ExpirationObject | None = None
    if store.expires_after_days is not None:
        expires_after = {"anchor": "last_active_at", "days": store.expires_after_days}
    return {
        "id": store.id,
        "object": "vector_store",
        "created_at": store.created_at,
        "name": store.name,
        "usage_bytes": counts.usage_bytes,
        "file_counts": _counts(counts),
        "status": "expired" if store.is_expired(now) else "in_progress" if counts.in_progress else "completed",
        "expires_after": expires_after,
        "expires_at": store.expires_at,
        "last_active_at": store.last_active_at,
        "metadata": store.meta,
    }


def render_store_file(file: VectorStoreFile) -> VectorStoreFileObject:
    chunking = chunking_of(file.chunking)
    error: StoreFileError | None = None
    if file.last_error_code is not None:
        error = cast("StoreFileError", {"code": file.last_error_code, "message": file.last_error_message or ""})
    return {
        "id": file.file_id,
        "object": "vector_store.file",
        "usage_bytes": file.usage_bytes or 0,
        "created_at": file.created_at,
        "vector_store_id": file.store_id,
        "status": cast("StoreFileStatus", file.status),
        "last_error": error,
        "chunking_strategy": {
            "type": "static",
            "static": {
                "max_chunk_size_tokens": chunking.max_chunk_size_tokens,
                "chunk_overlap_tokens": chunking.chunk_overlap_tokens,
            },
        },
        "attributes": cast("dict[str, AttributeValue]", file.attributes or {}),
    }


def render_folders(state: FolderState) -> StoreFoldersObject:
    return {
        "id": state.store_id,
        "object": "vector_store.folders",
        "name": state.name,
        "folders": list(state.folders),
        "checked_at": state.checked_at,
        "files": state.counts.files,
        "pending": state.counts.pending,
        "failed": state.counts.failed,
        "problems": state.problems,
        "failures": [{"path": path, "message": message} for path, message in state.failures],
    }


def render_batch(batch: VectorStoreBatch, counts: FileCounts) -> VectorStoreFileBatchObject:
    return {
        "id": batch.id,
        "object": "vector_store.files_batch",
        "created_at": batch.created_at,
        "vector_store_id": batch.store_id,
        "status": _batch_status(batch, counts),
        "file_counts": _counts(counts),
    }


def render_search(answer: StoreAnswer, *, explains: bool) -> SearchResultsPage:
    results: list[SearchResultObject] = [
        {
            "file_id": result.file.file_id,
            "filename": result.file.filename,
            "score": result.score,
            "attributes": result.file.attributes,
            "content": [{"type": "text", "text": result.passage.lead + result.passage.text}],
        }
        for result in answer.results
    ]
    page: SearchResultsPage = {
        "object": "vector_store.search_results.page",
        "search_query": list(answer.queries),
        "data": results,
        "has_more": False,
        "next_page": None,
    }
    if explains:
        candidates = [_candidate(judged) for judged in answer.candidates]
        page["explain"] = {
            "vector_model": answer.vector_model,
            "why_no_vectors": answer.why_no_vectors,
            "rerank_model": answer.rerank_model,
            "why_not_reranked": answer.why_not_reranked,
            "candidates": candidates,
        }
    return page


def _candidate(judged: JudgedCandidate) -> SearchCandidate:
    found = judged.candidate
    return {
        "vector_store_id": found.file.store_id,
        "file_id": found.file.file_id,
        "filename": found.file.filename,
        "chunk_index": found.ord,
        "page": found.page or None,
        "start_index": found.start,
        "end_index": found.end,
        "keyword_score": found.keyword_score,
        "vector_score": found.vector_score,
        "fused_score": found.fused_score,
        "fused_rank": found.fused_rank,
        "rerank_score": judged.rerank_score,
        "score": found.score,
        "rank": found.rank,
        "matched_terms": list(found.words),
        "outcome": found.fate,
    }


def _batch_status(batch: VectorStoreBatch, counts: FileCounts) -> StoreFileStatus:
    if batch.cancelled_at is not None:
        return "cancelled"
    if counts.in_progress:
        return "in_progress"
    return "failed" if counts.failed and counts.failed == counts.total else "completed"


def _counts(counts: FileCounts) -> FileCountsObject:
    return {
        "in_progress": counts.in_progress,
        "completed": counts.completed,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
        "total": counts.total,
    }
