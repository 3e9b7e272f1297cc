"""FastAPI as it is used: parameters of the path and the query, validated models in and out."""

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class Item(BaseModel):
    id: int
    name: str
    price: float = Field(gt=0)
    tags: list[str] = []


@app.get("/items/{item_id}")
async def read(item_id: int, q: str | None = None) -> Item:
    return Item(id=item_id, name=q or "x", price=1.5, tags=["a", "b"])


@app.post("/items")
async def write(item: Item) -> Item:
    return item
