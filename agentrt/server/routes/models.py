"""/models"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.config.resolve import find_embedding_model, find_model
from agentrt.runtime.assembly import Runtime
from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.wire.models import ModelList, ModelObject

router = APIRouter(prefix="/v1/models", tags=["Models"], route_class=ApiRoute)

IN_CODE = "agentrt"
"""Who owns a model that the embedding program brought along."""


@router.get("")
@speaks(Speech(answer=ModelList))
async def list_models(call: Call) -> Response:
    """List the models that are configured and can be called."""
    models: ModelList = {
        "object": "list",
        "data": [_render(call.runtime, name) for name in call.runtime.models.names()],
    }
    return answer(models)


@router.get("/{model:path}")
@speaks(Speech(answer=ModelObject))
async def get_model(call: Call, model: str) -> Response:
    """Retrieve a model by any name that it answers to."""
    if find_embedding_model(call.runtime.config.models, model) is None:
        call.runtime.models.check(model)
    return answer(_render(call.runtime, model))


def _render(runtime: Runtime, name: str) -> ModelObject:
    models = runtime.config.models
    spec = find_model(models, name) or find_embedding_model(models, name)
    # Nobody knows when a model was made.
    return {"id": name, "object": "model", "created": 0, "owned_by": IN_CODE if spec is None else spec.provider}
