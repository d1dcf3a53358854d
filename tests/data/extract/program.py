"""서울 예산."""


class Budget:
    def total(self) -> int:
        return 1
