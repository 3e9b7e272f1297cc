"""FastAPI as it is used: a path parameter, a query parameter, a validated model as JSON."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    id: int
    name: str
    price: float
    tags: list[str] = []


@app.get("/items/{item_id}")
async def read(item_id: int, q: str | None = None) -> Item:
    return Item(id=item_id, name=q or "x", price=1.5, tags=["a", "b"])
